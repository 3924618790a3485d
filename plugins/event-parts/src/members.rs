//! The members of a JSON object as they are written: in their order, repeated names and all.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object in their order: names and values as they are written.
#[derive(Debug)]
pub struct Members<'a>(pub Vec<(&'a RawValue, &'a RawValue)>);

/// The characters of a member's name.
///
/// # Errors
/// When it has an escape that is no character.
pub fn name(written: &RawValue) -> Result<Cow<'_, str>, serde_json::Error> {
    match written.get().strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Ok(Cow::Borrowed(plain)),
        _ => serde_json::from_str(written.get()).map(Cow::Owned),
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(List)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_as_they_are_written() {
        let object = r#"{"b" : 1.50, "\u0061": [ ],"b":null}"#;
        let Members(members) = serde_json::from_str(object).expect("it is an object");
        let texts: Vec<_> = members.iter().map(|(name, value)| (name.get(), value.get())).collect();
        assert_eq!(texts, [("\"b\"", "1.50"), ("\"\\u0061\"", "[ ]"), ("\"b\"", "null")]);
        let names: Vec<_> =
            members.iter().map(|(written, _)| name(written).expect("names are texts")).collect();
        assert_eq!(names, ["b", "a", "b"]);
        assert!(serde_json::from_str::<Members<'_>>("[]").is_err());
    }
}
