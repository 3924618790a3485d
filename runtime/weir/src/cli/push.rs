//! `weir push`: uploads modules under the digest of their bytes.
//!
//! The digest is made here, before anything is sent, so what the node keeps is what was read, or nothing.

use std::fs::File;
use std::io::{IsTerminal as _, Read, Seek as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use model::{Digest, DigestBuilder, TagName};

use super::exit::{Ended, Exit};
use super::output::{self, Output};
use super::{Remote, Session, compiling, tags};
use crate::client::Sent;

/// What a node answers that has a module and still compiles it.
const ACCEPTED: u16 = 202;

/// The arguments of `weir push`.
#[derive(Args)]
pub(crate) struct PushArgs {
    /// The modules: components or core modules
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Let this tag name the module
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Option<TagName>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Uploads modules, one after the other.
pub(crate) fn push(session: &Session, files: &[PathBuf], tag: Option<&TagName>) -> anyhow::Result<()> {
    if tag.is_some() && files.len() > 1 {
        let message = "a tag names one module: push the files one by one, or without --tag";
        return Err(Ended::new(Exit::Usage, message).into());
    }
    for path in files {
        let digest = upload(session, path).with_context(|| format!("push {}", path.display()))?;
        if let Some(tag) = tag {
            tags::set(session, tag, digest)?;
            output::talk(&format!("tag {tag} names {digest}"));
        }
    }
    Ok(())
}

fn upload(session: &Session, path: &Path) -> anyhow::Result<Digest> {
    let mut file = open(path)?;
    let (digest, length) = digest(&mut file)?;
    file.rewind()?;
    let bar = bar(path, length);
    // What grows while it is sent is cut, and then refused for its digest.
    let mut reader = bar.wrap_read(file.take(length));
    let sent = Sent::Stream("application/wasm", length, &mut reader);
    let answer = session.client.put(&format!("/v1/modules/{digest}"), sent);
    bar.finish_and_clear();
    let mut answer = answer?;
    let how = if answer.status == 200 { "was there already" } else { "pushed" };
    if answer.status == ACCEPTED {
        answer = compiling::wait(session, &path.display().to_string(), digest)?;
    }
    output::talk(&format!("{} {how} ({})", path.display(), output::bytes(length)));
    match session.output {
        Output::Json => output::data(answer.text.trim_end())?,
        Output::Table | Output::Name => output::data(&digest.to_string())?,
    }
    Ok(digest)
}

fn open(path: &Path) -> anyhow::Result<File> {
    let unusable = |why: String| Ended::new(Exit::Config, why);
    let file = File::open(path).map_err(|error| unusable(format!("cannot read the file: {error}")))?;
    let metadata = file.metadata().map_err(|error| unusable(format!("cannot read the file: {error}")))?;
    if !metadata.is_file() {
        return Err(unusable("this is not a file".into()).into());
    }
    Ok(file)
}

fn digest(file: &mut File) -> std::io::Result<(Digest, u64)> {
    let (mut builder, mut length) = (DigestBuilder::new(), 0);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((builder.finish(), length)),
            count => {
                builder.update(&buffer[..count]);
                length += count as u64;
            }
        }
    }
}

fn bar(path: &Path, length: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{msg} {bar:30} {binary_bytes} of {binary_total_bytes}";
    let style = ProgressStyle::with_template(template).expect("the template names only known keys");
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    ProgressBar::new(length).with_style(style).with_message(output::clean(&name))
}
