//! The plan: a pipeline with every tag resolved and every default filled in, and its canonical bytes.
//!
//! Two plans with the same digest make the same records from the same source. What does not decide what a
//! record is (where the source starts, who applied it, the engine's version) is not in it.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::limits::Limits;
use crate::name::{PipelineName, StreamName};
use crate::subject::{SubjectPattern, SubjectTemplate};

/// The version of the plan's shape that this code writes and reads.
pub const PLAN_VERSION: u32 = 1;

/// A pipeline, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// The pipeline's name.
    pub pipeline: PipelineName,
    /// Where events come from.
    pub source: SourcePlan,
    /// What they go through, in order; at least one.
    pub steps: Vec<StepPlan>,
    /// Where messages go.
    pub sink: SinkPlan,
    /// How many source sequences make a block: 1 to 65536.
    pub block: u32,
    /// What a guest fault does.
    pub on_guest_fault: OnGuestFault,
}

/// A source, resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourcePlan {
    /// The stream.
    pub stream: StreamName,
    /// Which of its subjects; none means all.
    pub subjects: Vec<SubjectPattern>,
    /// How many events lie in one message; none where each message is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Packing>,
}

/// How payloads lie behind each other in a packed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// One a line.
    Ndjson,
    /// Each is one MessagePack value.
    Msgpack,
}

/// How messages are packed into records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackPlan {
    /// How they lie in the payload.
    pub format: Packing,
    /// The most messages in one record.
    pub events: u32,
    /// The most bytes of one record's payload, but for one message that is larger alone.
    pub bytes: u32,
}

/// A step, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepPlan {
    /// The step's name, for people: in dead letters, metrics and logs.
    pub name: String,
    /// The module.
    pub module: Digest,
    /// What the module gets as its configuration; its JSON text, keys sorted, is what the guest reads.
    pub config: serde_json::Value,
    /// What bounds it.
    pub limits: Limits,
    /// What standard output comes to, where the module is a command. Left out where it is whole, so that a
    /// plan has one digest, and those from before commands have theirs.
    #[serde(default, skip_serializing_if = "CommandOutput::is_whole")]
    pub output: CommandOutput,
}

/// What the standard output of a command comes to. A command that prints nothing sends nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandOutput {
    /// One message: all of it.
    #[default]
    Whole,
    /// A message for each line, without its line feed. A last line without one counts.
    Lines,
}

impl CommandOutput {
    fn is_whole(&self) -> bool {
        *self == Self::Whole
    }
}

impl StepPlan {
    /// The configuration as the guest reads it: JSON with sorted keys; empty where there is none.
    pub fn config_bytes(&self) -> Vec<u8> {
        if self.config.is_null() {
            return Vec::new();
        }
        serde_json::to_vec(&self.config).expect("a JSON value can always be written as JSON")
    }
}

/// A sink, resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkPlan {
    /// The output stream, which the pipeline has to itself.
    pub stream: StreamName,
    /// The subject of a message that names none.
    pub subject: SubjectTemplate,
    /// The subjects that a module may set; with the template's own, all that a message can have.
    pub allow: Vec<SubjectPattern>,
    /// The most bytes that one record may have, headers and all.
    pub record_bytes: u32,
    /// How messages are packed; none where each is a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack: Option<PackPlan>,
}

impl SinkPlan {
    /// Every pattern under which the pipeline's messages can lie.
    pub fn patterns(&self) -> Vec<SubjectPattern> {
        let mut patterns = vec![self.subject.pattern()];
        for pattern in &self.allow {
            if !patterns.iter().any(|known| known.covers(pattern)) {
                patterns.retain(|known| !pattern.covers(known));
                patterns.push(pattern.clone());
            }
        }
        patterns
    }
}

/// What a guest fault does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnGuestFault {
    /// The event becomes a dead letter, in its place in the chain, and the next one is taken.
    DeadLetter,
    /// The pipeline stops before the event, until a person changes something.
    Stop,
}

impl Plan {
    /// The bytes that name the plan: compact JSON, fields in the order of the types above, keys of
    /// configurations sorted.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a plan has only strings as keys, so it can be written as JSON")
    }

    /// The digest of [`canonical_bytes`](Self::canonical_bytes).
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical_bytes())
    }

    /// The first sequence of the block in which `sequence` lies. Sequences start at 1.
    pub fn block_start(&self, sequence: u64) -> u64 {
        let block = u64::from(self.block);
        (sequence - 1) / block * block + 1
    }

    /// The last sequence of the block in which `sequence` lies.
    pub fn block_end(&self, sequence: u64) -> u64 {
        self.block_start(sequence) + u64::from(self.block) - 1
    }

    /// The digests of all modules, in the order of the steps.
    pub fn modules(&self) -> impl Iterator<Item = Digest> {
        self.steps.iter().map(|step| step.module)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn plan() -> Plan {
        Plan {
            version: PLAN_VERSION,
            pipeline: "flights".parse().expect("a valid name"),
            source: SourcePlan {
                stream: "FLIGHTS".parse().expect("a valid name"),
                subjects: vec!["flights.>".parse().expect("a valid pattern")],
                format: None,
            },
            steps: vec![StepPlan {
                name: "mask".into(),
                module: Digest::of(b"module"),
                config: serde_json::json!({"z": 1, "a": [true, 1.5]}),
                limits: Limits::DEFAULT,
                output: CommandOutput::Whole,
            }],
            sink: SinkPlan {
                stream: "CLEAN".parse().expect("a valid name"),
                subject: "clean.{subject}".parse().expect("a valid template"),
                allow: vec![],
                record_bytes: 1 << 20,
                pack: None,
            },
            block: 256,
            on_guest_fault: OnGuestFault::DeadLetter,
        }
    }

    #[test]
    fn canonical_bytes_are_stable() {
        let text = String::from_utf8(plan().canonical_bytes()).expect("JSON is UTF-8");
        let module = Digest::of(b"module");
        assert_eq!(
            text,
            format!(
                "{{\"version\":1,\"pipeline\":\"flights\",\
                 \"source\":{{\"stream\":\"FLIGHTS\",\"subjects\":[\"flights.>\"]}},\
                 \"steps\":[{{\"name\":\"mask\",\"module\":\"{module}\",\"config\":{{\"a\":[true,1.5],\"z\":1}},\
                 \"limits\":{{\"memory_bytes\":67108864,\"fuel_per_event\":200000000,\"messages_per_event\":1000,\
                 \"bytes_per_event\":8388608,\"log_bytes_per_event\":4096,\"deadline_ms\":10000}}}}],\
                 \"sink\":{{\"stream\":\"CLEAN\",\"subject\":\"clean.{{subject}}\",\"allow\":[],\
                 \"record_bytes\":1048576}},\"block\":256,\"on_guest_fault\":\"dead_letter\"}}"
            )
        );
        let again: Plan = serde_json::from_str(&text).expect("what was written can be read");
        assert_eq!(again.digest(), plan().digest());
    }

    /// Plans that were made before there was packing keep their digests.
    #[test]
    fn packing_stands_in_a_plan_only_where_there_is_some() {
        let mut packed = plan();
        packed.source.format = Some(Packing::Ndjson);
        packed.sink.pack = Some(PackPlan { format: Packing::Msgpack, events: 10, bytes: 1000 });
        let text = String::from_utf8(packed.canonical_bytes()).expect("JSON is UTF-8");
        for part in [r#""format":"ndjson"}"#, r#""pack":{"format":"msgpack","events":10,"bytes":1000}}"#] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let again: Plan = serde_json::from_str(&text).expect("what was written can be read");
        assert_eq!(again, packed);
    }

    /// Only what is not the default stands in a plan, so that older plans keep their digests.
    #[test]
    fn lines_are_another_plan_and_the_whole_is_not_said() {
        let mut plan = plan();
        let whole = plan.digest();
        plan.steps[0].output = CommandOutput::Lines;
        let text = String::from_utf8(plan.canonical_bytes()).expect("JSON is UTF-8");
        assert!(text.contains("\"deadline_ms\":10000},\"output\":\"lines\"}]"), "{text}");
        assert_ne!(plan.digest(), whole);
        assert_eq!(serde_json::from_str::<Plan>(&text).expect("it can be read"), plan);
    }

    #[test]
    fn blocks_are_aligned_to_the_sources_own_sequence() {
        let plan = plan();
        for (sequence, start, end) in [(1, 1, 256), (256, 1, 256), (257, 257, 512), (1000, 769, 1024)] {
            assert_eq!((plan.block_start(sequence), plan.block_end(sequence)), (start, end));
        }
    }

    #[test]
    fn sink_patterns_are_not_repeated() {
        let mut sink = plan().sink;
        sink.allow = ["clean.a", "other.*", "other.b"].map(|p| p.parse().expect(p)).into();
        let patterns: Vec<String> = sink.patterns().into_iter().map(Into::into).collect();
        assert_eq!(patterns, ["clean.>", "other.*"]);
    }
}
