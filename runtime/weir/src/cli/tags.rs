//! `weir tag` and `weir rm tag`.

use api::dto::{PutTag, Tag, TagList};
use clap::Args;
use model::{Digest, TagName};

use super::module_arg::ModuleArg;
use super::output::{self, Output};
use super::{Remote, Session};
use crate::client::{Sent, json_text};

/// The arguments of `weir tag`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  weir tag                              list all tags
  weir tag mask-pii:1.2                 show what it names
  weir tag mask-pii:1.2 sha256:9f2c…    let it name this module from now on
  weir tag --delete mask-pii:1.2        delete it; the module stays")]
pub(crate) struct TagArgs {
    /// The tag
    #[arg(value_name = "TAG")]
    name: Option<TagName>,
    /// What it is to name: digest, beginning of a digest, or another tag
    #[arg(conflicts_with = "delete")]
    module: Option<ModuleArg>,
    /// Delete the tag
    #[arg(long, requires = "name")]
    delete: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// A verb on one tag.
#[derive(Args)]
pub(crate) struct OneTag {
    /// The tag
    #[arg(value_name = "TAG")]
    pub(crate) name: TagName,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Runs `weir tag`.
pub(crate) fn run(session: &Session, args: &TagArgs) -> anyhow::Result<()> {
    match (&args.name, &args.module) {
        (None, _) => list(session),
        (Some(name), _) if args.delete => remove(session, name),
        (Some(name), None) => show(session, name),
        (Some(name), Some(module)) => {
            let digest = session.digest(module)?;
            let answer = set(session, name, digest)?;
            match session.output {
                Output::Json => output::data(answer.text.trim_end()),
                Output::Name => output::data(name.as_str()),
                Output::Table => {
                    output::talk(&format!("tag {name} names {digest}"));
                    Ok(())
                }
            }
        }
    }
}

/// Lets a tag name a module.
pub(crate) fn set(
    session: &Session,
    name: &TagName,
    digest: Digest,
) -> Result<crate::client::Answer, crate::client::ClientError> {
    let body = json_text(&PutTag { digest });
    session.client.put(&format!("/v1/tags/{name}"), Sent::Text("application/json", &body))
}

/// Deletes a tag.
pub(crate) fn remove(session: &Session, name: &TagName) -> anyhow::Result<()> {
    session.client.delete(&format!("/v1/tags/{name}"))?;
    if session.output == Output::Name {
        return output::data(name.as_str());
    }
    output::talk(&format!("deleted tag {name}"));
    Ok(())
}

fn list(session: &Session) -> anyhow::Result<()> {
    let answer = session.client.get("/v1/tags")?;
    let list: TagList = answer.read()?;
    let names = || list.tags.iter().map(|tag| tag.name.to_string()).collect();
    let table = || {
        let mut table = output::table(["TAG", "DIGEST", "REVISION"]);
        for tag in &list.tags {
            table.add_row(output::row([&tag.name, &tag.digest, &tag.revision]));
        }
        table
    };
    output::show(session.output, &answer, names, table)
}

fn show(session: &Session, name: &TagName) -> anyhow::Result<()> {
    let answer = session.client.get(&format!("/v1/tags/{name}"))?;
    let tag: Tag = answer.read()?;
    match session.output {
        Output::Json => output::data(answer.text.trim_end()),
        Output::Name | Output::Table => output::data(&tag.digest.to_string()),
    }
}
