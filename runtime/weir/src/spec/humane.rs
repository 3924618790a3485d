//! Sizes, durations and moments as people write them: `"64 MiB"`, `"10s"`, `"2013-01-01T00:00:00Z"`.
//!
//! A value of these types is valid and has one unit. What is too large or too small for its place is for
//! others to say.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A number of bytes: `67108864` or `"64 MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "NumberOrText")]
pub(crate) struct ByteCount(pub(crate) u64);

/// A number of milliseconds: `10000` or `"10s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "NumberOrText")]
pub(crate) struct Milliseconds(pub(crate) u64);

/// A span of time, always with its unit: `"7d"`, `"1h 30m"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct TimeSpan(pub(crate) Duration);

/// A point in time from 1970 on: RFC 3339 with its offset from UTC. Held as nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Moment(u64);

impl Moment {
    /// Nanoseconds since 1970-01-01 UTC.
    pub(crate) fn unix_ns(self) -> u64 {
        self.0
    }
}

/// What a file may hold where a number with a unit is wanted.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a whole number, or a text with its unit such as \"64 MiB\" or \"10s\""
)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

impl FromStr for ByteCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse =
            || format!("'{text}' is not a size: write a number of bytes, or one with KiB, MiB or GiB");
        let size: bytesize::ByteSize = text.parse().map_err(|_| refuse())?;
        Ok(Self(size.as_u64()))
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        write!(f, "{}", bytesize::ByteSize(self.0))
    }
}

impl TryFrom<NumberOrText> for ByteCount {
    type Error = String;

    fn try_from(value: NumberOrText) -> Result<Self, String> {
        match value {
            NumberOrText::Number(bytes) => Ok(Self(bytes)),
            NumberOrText::Text(text) => text.parse(),
        }
    }
}

impl TryFrom<NumberOrText> for Milliseconds {
    type Error = String;

    fn try_from(value: NumberOrText) -> Result<Self, String> {
        let text = match value {
            NumberOrText::Number(milliseconds) => return Ok(Self(milliseconds)),
            NumberOrText::Text(text) => text,
        };
        let milliseconds = text.parse::<TimeSpan>()?.0.as_millis();
        u64::try_from(milliseconds).map(Self).map_err(|_| format!("'{text}' is too long"))
    }
}

impl FromStr for TimeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse =
            |_| format!("'{text}' is not a duration: write numbers with units, such as '7d' or '1h 30m'");
        humantime::parse_duration(text).map(Self).map_err(refuse)
    }
}

impl TryFrom<String> for TimeSpan {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<TimeSpan> for String {
    fn from(span: TimeSpan) -> Self {
        humantime::format_duration(span.0).to_string()
    }
}

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let moment: jiff::Timestamp = text.parse().map_err(|_| {
            format!("'{text}' is not a moment: write date, time and offset, such as '2013-01-01T00:00:00Z'")
        })?;
        let nanoseconds = u64::try_from(moment.as_nanosecond());
        nanoseconds.map(Self).map_err(|_| format!("'{text}' is not between the years 1970 and 2554"))
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        let moment = jiff::Timestamp::from_nanosecond(moment.0.into());
        moment.expect("it was a time stamp before it was a number").to_string()
    }
}

macro_rules! schema {
    ($type:ident, $schema:tt) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

schema!(ByteCount, {
    "description": "A number of bytes, or a text with its unit.",
    "type": ["integer", "string"], "minimum": 0, "examples": [65536, "64 MiB"]
});
schema!(Milliseconds, {
    "description": "A number of milliseconds, or a text with its unit.",
    "type": ["integer", "string"], "minimum": 0, "examples": [250, "10s"]
});
schema!(TimeSpan, {
    "description": "A span of time with its unit.", "type": "string", "examples": ["7d", "1h 30m"]
});
schema!(Moment, {
    "description": "A point in time, RFC 3339 with an offset.", "type": "string", "format": "date-time"
});

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read<T: for<'a> Deserialize<'a>>(value: serde_json::Value) -> Result<T, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn sizes_and_durations_read_as_people_write_them() {
        for (value, bytes) in
            [(json!(5), 5), (json!("64 MiB"), 64 << 20), (json!("1KiB"), 1024), (json!("7"), 7)]
        {
            assert_eq!(read(value), Ok(ByteCount(bytes)));
        }
        for (value, milliseconds) in [(json!(250), 250), (json!("10s"), 10_000), (json!("1m 1s"), 61_000)] {
            assert_eq!(read(value), Ok(Milliseconds(milliseconds)));
        }
        let moment: Moment = read(json!("1970-01-01T01:00:01+01:00")).expect("a moment");
        assert_eq!(moment.unix_ns(), 1_000_000_000);
        assert_eq!(json!(moment), json!("1970-01-01T00:00:01Z"));
        assert_eq!(json!(TimeSpan(Duration::from_secs(604_800))), json!("7days"));
    }

    #[test]
    fn what_has_no_meaning_is_refused_with_an_example() {
        for (value, hint) in [(json!("64 parsecs"), "KiB"), (json!(-1), "64 MiB"), (json!(true), "64 MiB")] {
            let error = read::<ByteCount>(value).expect_err("refused");
            assert!(error.contains(hint), "{error}");
        }
        assert!(read::<Milliseconds>(json!("soon")).expect_err("refused").contains("1h 30m"));
        assert!(read::<TimeSpan>(json!("7")).expect_err("refused").contains("7d"));
        assert!(read::<Moment>(json!("2013-01-01")).expect_err("refused").contains("2013-01-01T00:00:00Z"));
        for outside in ["1969-12-31T23:59:59Z", "2555-01-01T00:00:00Z"] {
            assert!(read::<Moment>(json!(outside)).expect_err("refused").contains("1970"), "{outside}");
        }
    }
}
