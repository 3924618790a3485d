//! How a module is named on the line: by its digest, by the beginning of its digest, or by a tag.

use std::fmt;
use std::str::FromStr;

use api::dto::{ModuleList, Tag};
use model::{Digest, TagName};

use super::Session;
use super::exit::{Ended, Exit};
use crate::spec::ModuleRef;

/// The fewest digits that are taken for the beginning of a digest.
const DIGITS_MIN: usize = 6;

/// A module, as somebody named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ModuleArg {
    /// By its digest or a tag.
    Whole(ModuleRef),
    /// By `sha256:` and the first digits, as tables show them.
    Beginning(String),
}

impl FromStr for ModuleArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_beginning = |digits: &str| {
            (DIGITS_MIN..64).contains(&digits.len())
                && digits.bytes().all(|c| b"0123456789abcdef".contains(&c))
        };
        if text.strip_prefix("sha256:").is_some_and(is_beginning) {
            return Ok(Self::Beginning(text.to_owned()));
        }
        text.parse().map(Self::Whole)
    }
}

impl fmt::Display for ModuleArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(module) => module.fmt(f),
            Self::Beginning(text) => f.write_str(text),
        }
    }
}

impl Session {
    /// The digest that is meant. Only a tag or a beginning needs to ask the node.
    ///
    /// # Errors
    /// When the node knows no such module, or more than one.
    pub(crate) fn digest(&self, module: &ModuleArg) -> anyhow::Result<Digest> {
        match module {
            ModuleArg::Whole(ModuleRef::Digest(digest)) => Ok(*digest),
            ModuleArg::Whole(ModuleRef::Tag(tag)) => self.digest_of_tag(tag),
            ModuleArg::Beginning(text) => self.digest_that_begins(text),
        }
    }

    fn digest_of_tag(&self, tag: &TagName) -> anyhow::Result<Digest> {
        Ok(self.client.get(&format!("/v1/tags/{tag}"))?.read::<Tag>()?.digest)
    }

    fn digest_that_begins(&self, text: &str) -> anyhow::Result<Digest> {
        let list: ModuleList = self.client.get("/v1/modules")?.read()?;
        let digests = list.modules.iter().map(|module| module.digest);
        let mut found = digests.filter(|digest| digest.to_string().starts_with(text));
        match (found.next(), found.next()) {
            (Some(digest), None) => Ok(digest),
            (None, _) => {
                let message = format!("no module begins with {text}; see `weir modules`");
                Err(Ended::new(Exit::Failed, message).into())
            }
            (Some(_), Some(_)) => {
                let message = format!("more than one module begins with {text}; give more digits");
                Err(Ended::new(Exit::Failed, message).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_named_by_digest_beginning_or_tag() {
        let digest = Digest::of(b"m");
        let parse = |text: &str| text.parse::<ModuleArg>();
        assert_eq!(parse(&digest.to_string()), Ok(ModuleArg::Whole(ModuleRef::Digest(digest))));
        assert_eq!(parse(&digest.short()), Ok(ModuleArg::Beginning(digest.short())));
        let tag = "mask:1".parse().expect("a tag");
        assert_eq!(parse("mask:1"), Ok(ModuleArg::Whole(ModuleRef::Tag(tag))));
        for bad in ["sha256:12345", "sha256:XYZXYZ", "Mask", "./mask.wasm"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
