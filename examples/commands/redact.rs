//! Blanks out numbers of twelve digits and more, such as those of cards, and passes all else on.
//!
//! A filter like any other: it reads standard input and writes standard output. What is not text it refuses.

use std::io::{Read as _, Write as _};

const DIGITS_MIN: usize = 12;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let mut output = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let digits = rest[start..].bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest[start..].split_at(digits);
        output.push_str(&rest[..start]);
        match number.len() >= DIGITS_MIN {
            true => output.push_str(&"*".repeat(number.len())),
            false => output.push_str(number),
        }
        rest = after;
    }
    output.push_str(rest);
    std::io::stdout().write_all(output.as_bytes())?;
    Ok(())
}
