//! The native side of `weir run`: late flights of a file, by the same selection as the typed module's.

use std::io::{BufRead as _, Write as _};
use std::path::Path;

/// Writes the late flights of a file, a JSON object a line, to standard output.
///
/// # Errors
/// When the file cannot be read or a line is no flight.
pub fn select(input: &Path) -> anyhow::Result<()> {
    let mut input = std::io::BufReader::new(std::fs::File::open(input)?);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        if let Some(selected) = late_flights::select(&line)? {
            out.write_all(&selected)?;
            out.write_all(b"\n")?;
        }
        line.clear();
    }
    Ok(out.flush()?)
}
