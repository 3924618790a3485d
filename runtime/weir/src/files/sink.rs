//! Files as the sink of a pipeline: messages, dead letters and receipts, each in a file of its own, and of
//! the chain what a pipeline asks for.
//!
//! Where the output is a file, the run can be killed at any point and goes on from its last checkpoint; the
//! files that it ends with are those of a run that nobody killed.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use api::dto::{Header, Payload};
use model::record::{self, own_subject};
use model::{
    Digest, Event, Headers, PipelineName, Place as ChainPlace, Plan, Position, Receipt, Record, RecordKind,
    Revision, Totals,
};
use pipeline::ports::{AppendError, Appender, Ask, Hint, PortError, Sink, StopReason, Stored, Tail};

use super::checkpoint::{Checkpoint, Making};
use super::frames::write_frame;
use super::output::{Output, is_no_file, take_name};
use super::{OutputFormat, Place};

/// How often a checkpoint is taken, at the next receipt.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// Where records go.
#[derive(Clone, Debug)]
pub(crate) struct SinkFiles {
    /// Messages.
    pub(crate) output: Place,
    /// How they lie there.
    pub(crate) format: OutputFormat,
    /// Dead letters, as one JSON object a line; only counted if there is no file.
    pub(crate) dead: Option<PathBuf>,
    /// Receipts, as one JSON object a line; only counted if there is no file.
    pub(crate) receipts: Option<PathBuf>,
}

/// The files of one run; see the head of this file.
#[derive(Clone)]
pub(crate) struct FileSink(Arc<Mutex<Files>>);

/// A way to append to them.
pub(crate) struct FileAppender {
    files: Arc<Mutex<Files>>,
    answers: VecDeque<u64>,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    /// All receipts.
    pub(crate) totals: Totals,
    /// How many of the events were worked through by earlier runs, which were killed.
    pub(crate) events_before: u64,
}

struct Files {
    making: Making,
    format: OutputFormat,
    /// The file of messages, if it is one, and so a run can go on from it.
    output_path: Option<PathBuf>,
    outputs: [Output; 3],
    chain: Chain,
    totals: Totals,
    events_before: u64,
    checkpoint_at: Instant,
    /// Everything is written already, by a run that was killed while it gave names.
    is_finished: bool,
    line: Vec<u8>,
    /// What the system said when it refused to write.
    error: Option<io::Error>,
}

/// The end of the chain, as far as a pipeline looks at it.
#[derive(Default)]
struct Chain {
    last_sequence: u64,
    last: Option<Record>,
    revision: Option<(u64, Record)>,
    receipt: Option<(u64, Record)>,
    receipt_before: Option<(u64, Record)>,
}

/// A dead letter, as a line of JSON.
#[derive(serde::Serialize)]
struct DeadLine<'a> {
    position: String,
    subject: &'a str,
    step: &'a str,
    module: &'a str,
    code: &'a str,
    reason: &'a str,
    payload: Option<Payload>,
    payload_omitted: Option<&'a str>,
    headers: Vec<Header>,
}

const MESSAGES: usize = 0;
const DEAD: usize = 1;
const RECEIPTS: usize = 2;

impl FileSink {
    /// Opens the files of a run of `plan`, where an earlier run of the same was at its last checkpoint.
    /// `input` is the digest of all that decides what the events are.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn open(
        files: &SinkFiles,
        plan: &Plan,
        input: Digest,
        genesis: &Revision,
    ) -> io::Result<Self> {
        let making =
            Making::new(plan.digest(), input, files.format, files.dead.clone(), files.receipts.clone());
        let output_path = match &files.output {
            Place::File(path) if !is_no_file(path) => Some(path.clone()),
            Place::File(_) | Place::Standard => None,
        };
        let found = match &output_path {
            Some(path) => Checkpoint::read(path)?.filter(|found| found.making == making),
            None => None,
        };
        // Where somebody took away what was written, there is nothing to go on from.
        let paths = [output_path.as_ref(), files.dead.as_ref(), files.receipts.as_ref()];
        let found = found.filter(|found| {
            found.is_finished
                || paths.iter().zip(found.bytes).all(|(path, bytes)| Output::holds(*path, bytes))
        });
        let bytes = found.as_ref().map_or([0; 3], |found| found.bytes);
        let is_finished = found.as_ref().is_some_and(|found| found.is_finished);
        let open = |path: Option<&PathBuf>, bytes| match path {
            Some(path) if !is_finished => Output::file(path, bytes),
            _ => Ok(Output::Nowhere),
        };
        let messages = match &files.output {
            Place::File(path) => open(Some(path), bytes[MESSAGES])?,
            Place::Standard => Output::standard(),
        };
        let outputs = [
            messages,
            open(files.dead.as_ref(), bytes[DEAD])?,
            open(files.receipts.as_ref(), bytes[RECEIPTS])?,
        ];
        let totals = found.as_ref().map_or(Totals::NONE, |found| found.totals);
        let chain = found.map_or_else(Chain::default, |found| Chain::at(&found, genesis));
        Ok(Self(Arc::new(Mutex::new(Files {
            making,
            format: files.format,
            output_path,
            outputs,
            chain,
            totals,
            events_before: totals.events,
            checkpoint_at: Instant::now(),
            is_finished,
            line: Vec::new(),
            error: None,
        }))))
    }

    /// What was done so far.
    pub(crate) fn totals(&self) -> Totals {
        self.lock().totals
    }

    /// The source event of the last record, 0 if there is none.
    pub(crate) fn position(&self) -> u64 {
        self.lock().chain.last.as_ref().map_or(0, |record| record.position.sequence)
    }

    /// Whether an earlier run has written everything, and was killed while it gave names.
    pub(crate) fn is_finished(&self) -> bool {
        self.lock().is_finished
    }

    /// What the system said, if writing failed.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        self.lock().error.take()
    }

    /// Puts everything on the disk and gives the files their names.
    ///
    /// # Errors
    /// When the system refuses; a later run goes on.
    pub(crate) fn finish(&self) -> io::Result<Finished> {
        let mut files = self.lock();
        let finished = Finished { totals: files.totals, events_before: files.events_before };
        let Some(output) = files.output_path.clone() else {
            for file in &mut files.outputs {
                file.sync()?;
            }
            let paths: Vec<_> = files.outputs.iter().filter_map(Output::path).collect();
            paths.into_iter().try_for_each(take_name)?;
            return Ok(finished);
        };
        files.checkpoint(true)?;
        let Making { dead, receipts, .. } = &files.making;
        let paths = [receipts.as_deref(), dead.as_deref(), Some(output.as_path())];
        paths.into_iter().flatten().try_for_each(take_name)?;
        Checkpoint::remove(&output)?;
        Ok(finished)
    }

    fn lock(&self) -> MutexGuard<'_, Files> {
        lock(&self.0)
    }
}

fn lock(files: &Mutex<Files>) -> MutexGuard<'_, Files> {
    files.lock().expect("no code panics while it holds this lock")
}

impl Chain {
    /// The chain as it was when a checkpoint was taken.
    fn at(found: &Checkpoint, genesis: &Revision) -> Self {
        let receipt = receipt_record(&found.receipt, found.index);
        let before = found.previous.as_ref().zip(found.receipt.previous);
        Self {
            last_sequence: found.record,
            last: Some(receipt.clone()),
            revision: Some((1, revision_record(genesis))),
            receipt: Some((found.record, receipt)),
            receipt_before: before.map(|(receipt, link)| (link.record, receipt_record(receipt, 0))),
        }
    }

    fn push(&mut self, sequence: u64, record: &Record) {
        self.last_sequence = sequence;
        match record.kind {
            RecordKind::Receipt => {
                self.receipt_before = self.receipt.replace((sequence, record.clone()));
            }
            RecordKind::Revision => self.revision = Some((sequence, record.clone())),
            RecordKind::Message | RecordKind::Dead => {}
        }
        self.last = Some(record.clone());
    }
}

impl Files {
    fn append(&mut self, sequence: u64, record: &Record) -> Result<(), PortError> {
        let written = match record.kind {
            RecordKind::Message => self.message(sequence, record)?,
            RecordKind::Dead => self.dead(record),
            RecordKind::Receipt => self.receipt(record),
            RecordKind::Revision => Ok(()),
        };
        self.chain.push(sequence, record);
        let due = record.kind == RecordKind::Receipt && self.output_path.is_some();
        let written =
            written.and_then(|()| match due && self.checkpoint_at.elapsed() >= CHECKPOINT_INTERVAL {
                true => self.checkpoint(false),
                false => Ok(()),
            });
        self.judged(written)
    }

    fn message(&mut self, sequence: u64, record: &Record) -> Result<io::Result<()>, StopReason> {
        match self.format {
            OutputFormat::Ndjson => {
                if memchr::memchr(b'\n', &record.payload).is_some() {
                    let detail = format!(
                        "message {} has a line break in its payload, and would not be one line: take \
                         --output-format msgpack",
                        record.position
                    );
                    return Err(StopReason::new("output-refused", detail));
                }
                let output = &mut self.outputs[MESSAGES];
                Ok(output.write(&record.payload).and_then(|()| output.write(b"\n")))
            }
            OutputFormat::Msgpack => {
                self.line.clear();
                let event = Event {
                    subject: record.subject.clone(),
                    payload: record.payload.clone(),
                    headers: record.headers.clone(),
                    sequence,
                    timestamp_ns: 0,
                };
                write_frame(&mut self.line, &event);
                Ok(self.outputs[MESSAGES].write(&self.line))
            }
        }
    }

    fn dead(&mut self, record: &Record) -> io::Result<()> {
        let header = |name| record.headers.get(name).unwrap_or_default();
        let payload_omitted = record.headers.get(record::DEAD_OMITTED_HEADER);
        let line = DeadLine {
            position: record.position.to_string(),
            subject: header(record::DEAD_SUBJECT_HEADER),
            step: header(record::DEAD_STEP_HEADER),
            module: header(record::DEAD_MODULE_HEADER),
            code: header(record::DEAD_FAULT_HEADER),
            reason: header(record::DEAD_REASON_HEADER),
            payload: payload_omitted.is_none().then(|| Payload::from_bytes(&record.payload)),
            payload_omitted,
            headers: record.headers.clone().without_reserved().iter().map(Into::into).collect(),
        };
        self.line.clear();
        serde_json::to_writer(&mut self.line, &line).expect("it has only strings as keys");
        self.line.push(b'\n');
        self.outputs[DEAD].write(&self.line)
    }

    fn receipt(&mut self, record: &Record) -> io::Result<()> {
        self.totals.add(&parse_receipt(record));
        let output = &mut self.outputs[RECEIPTS];
        output.write(&record.payload).and_then(|()| output.write(b"\n"))
    }

    /// Puts what is written on the disk, and says so beside the output.
    fn checkpoint(&mut self, is_finished: bool) -> io::Result<()> {
        let Some(path) = &self.output_path else { return Ok(()) };
        if self.is_finished {
            return Ok(());
        }
        let mut bytes = [0; 3];
        for (output, bytes) in self.outputs.iter_mut().zip(&mut bytes) {
            *bytes = output.sync()?;
        }
        // Without a receipt there were no events, and nothing to go on from.
        let Some((sequence, record)) = &self.chain.receipt else { return Ok(()) };
        let receipt = (*sequence, record.position.index, parse_receipt(record));
        let previous = self.chain.receipt_before.as_ref().map(|(_, record)| parse_receipt(record));
        let checkpoint = Checkpoint::new(self.making.clone(), receipt, previous, self.totals, bytes);
        let checkpoint = if is_finished { checkpoint.finished() } else { checkpoint };
        checkpoint.write(path)?;
        self.checkpoint_at = Instant::now();
        Ok(())
    }

    /// A file that cannot be written ends the run; the system's own words are kept.
    fn judged(&mut self, written: io::Result<()>) -> Result<(), PortError> {
        written.map_err(|error| {
            let reason =
                StopReason::new("output-unwritable", format!("the output cannot be written: {error}"));
            self.error = Some(error);
            reason.into()
        })
    }
}

impl Sink for FileSink {
    type Appender = FileAppender;

    async fn tail(&self) -> Result<Tail, PortError> {
        let files = self.lock();
        let last_sequence = files.chain.last_sequence;
        let entry = files.chain.last.as_ref().map(|record| stored(last_sequence, record));
        Ok(Tail { last_sequence, entry })
    }

    async fn last_on(&self, subject: &str) -> Result<Option<Stored>, PortError> {
        let files = self.lock();
        let ours = [&files.chain.revision, &files.chain.receipt].into_iter().flatten();
        let mut found = ours.filter(|(_, record)| record.subject == subject);
        Ok(found.next().map(|(sequence, record)| stored(*sequence, record)))
    }

    async fn get(&self, sequence: u64) -> Result<Option<Stored>, PortError> {
        let files = self.lock();
        let Chain { revision, receipt, receipt_before, .. } = &files.chain;
        let mut found = [revision, receipt, receipt_before].into_iter().flatten();
        let found = found.find(|(at, _)| *at == sequence);
        Ok(found.map(|(sequence, record)| stored(*sequence, record)))
    }

    async fn hint(&self) -> Result<Option<Hint>, PortError> {
        Ok(None)
    }

    async fn keep_hint(&self, _: Hint) -> Result<(), PortError> {
        Ok(())
    }

    async fn appender(&self) -> Result<FileAppender, PortError> {
        Ok(FileAppender { files: self.0.clone(), answers: VecDeque::new() })
    }
}

impl Appender for FileAppender {
    async fn append(&mut self, place: &ChainPlace, record: &Record, ask: Ask) -> Result<(), AppendError> {
        let mut files = lock(&self.files);
        if place.sequence != files.chain.last_sequence + 1 {
            return Err(AppendError::Conflict);
        }
        files.append(place.sequence, record)?;
        if ask == Ask::Answer {
            self.answers.push_back(place.sequence);
        }
        Ok(())
    }

    /// What is appended is stored, as far as a pipeline can tell; what a crash takes is computed again.
    async fn answer(&mut self) -> Result<u64, AppendError> {
        match self.answers.pop_front() {
            Some(sequence) => Ok(sequence),
            None => std::future::pending().await,
        }
    }
}

fn stored(sequence: u64, record: &Record) -> Stored {
    let headers = record.wire_headers().map(|(name, value)| (name.to_owned(), value.into_owned()));
    let (subject, payload) = (record.subject.clone(), record.payload.clone());
    Stored { sequence, subject, headers: Headers::canonical(headers), payload }
}

fn parse_receipt(record: &Record) -> Receipt {
    serde_json::from_slice(&record.payload).expect("a receipt that was just written can be read")
}

fn receipt_record(receipt: &Receipt, index: u32) -> Record {
    let position = Position { sequence: receipt.last_sequence, index };
    let payload = receipt.canonical_bytes();
    own_record(&receipt.pipeline, RecordKind::Receipt, payload, receipt.plan, position)
}

fn revision_record(revision: &Revision) -> Record {
    let position = Position { sequence: revision.from_sequence, index: 0 };
    let payload = revision.canonical_bytes();
    own_record(&revision.pipeline, RecordKind::Revision, payload, revision.plan_digest, position)
}

fn own_record(
    pipeline: &PipelineName,
    kind: RecordKind,
    payload: Vec<u8>,
    plan: Digest,
    position: Position,
) -> Record {
    let subject = own_subject(pipeline, kind);
    Record { kind, subject, headers: Headers::new(), payload: payload.into(), plan, position }
}

#[cfg(test)]
mod tests {
    use model::{Limits, OnGuestFault, SinkPlan, SourcePlan, StepPlan};

    use super::*;

    fn plan() -> Plan {
        Plan {
            version: 1,
            pipeline: "p".parse().expect("a name"),
            source: SourcePlan { stream: "IN".parse().expect("a name"), subjects: vec![], format: None },
            steps: vec![StepPlan {
                name: "a".into(),
                module: Digest::of(b"module"),
                config: serde_json::Value::Null,
                limits: Limits::DEFAULT,
                output: model::CommandOutput::Whole,
            }],
            sink: SinkPlan {
                stream: "OUT".parse().expect("a name"),
                subject: "out".parse().expect("a template"),
                allow: vec![],
                record_bytes: 1 << 20,
                pack: None,
            },
            block: 2,
            on_guest_fault: OnGuestFault::DeadLetter,
        }
    }

    fn genesis() -> Revision {
        let plan = plan();
        Revision {
            version: 1,
            pipeline: plan.pipeline.clone(),
            number: 1,
            generation: 1,
            from_sequence: 1,
            plan_digest: plan.digest(),
            plan,
            closes: None,
            previous: None,
        }
    }

    fn message(sequence: u64, payload: &str) -> Record {
        Record {
            kind: RecordKind::Message,
            subject: "out".into(),
            headers: Headers::new(),
            payload: payload.to_owned().into(),
            plan: plan().digest(),
            position: Position { sequence, index: 0 },
        }
    }

    fn receipt(last_sequence: u64) -> Record {
        let receipt = Receipt {
            version: 1,
            pipeline: plan().pipeline,
            unit_start: last_sequence - 1,
            first_sequence: last_sequence - 1,
            last_sequence,
            events: 2,
            inputs: Digest::of(b"in"),
            plan: plan().digest(),
            engine: "e".into(),
            messages: 2,
            dead_letters: 0,
            outputs: Digest::of(b"out"),
            previous: None,
        };
        receipt_record(&receipt, 1)
    }

    fn open(folder: &std::path::Path) -> FileSink {
        let files = SinkFiles {
            output: Place::File(folder.join("out")),
            format: OutputFormat::Ndjson,
            dead: None,
            receipts: Some(folder.join("receipts")),
        };
        FileSink::open(&files, &plan(), Digest::of(b"input"), &genesis()).expect("the files open")
    }

    fn append(sink: &FileSink, records: &[Record]) -> Result<(), PortError> {
        let mut files = sink.lock();
        records.iter().try_for_each(|record| {
            let sequence = files.chain.last_sequence + 1;
            files.append(sequence, record)
        })
    }

    #[tokio::test]
    async fn a_run_that_was_killed_stands_at_its_last_checkpoint() {
        let folder = tempfile::tempdir().expect("a folder");
        let sink = open(folder.path());
        assert_eq!(sink.tail().await.expect("a tail").last_sequence, 0);
        let first = [revision_record(&genesis()), message(1, "a"), message(2, "b"), receipt(2)];
        append(&sink, &first).expect("written");
        sink.lock().checkpoint(false).expect("it is kept");
        append(&sink, &[message(3, "c")]).expect("written");
        let tail = sink.tail().await.expect("a tail");
        assert_eq!((tail.last_sequence, tail.entry.map(|entry| entry.payload)), (5, Some("c".into())));
        sink.lock().outputs[MESSAGES].flush().expect("written");
        drop(sink);

        let sink = open(folder.path());
        let tail = sink.tail().await.expect("a tail");
        let entry = tail.entry.expect("the receipt");
        assert_eq!((tail.last_sequence, entry.payload), (4, receipt(2).payload));
        let revision = sink.last_on("weir.p.revision").await.expect("a look").expect("the genesis");
        assert_eq!((revision.sequence, revision.payload), (1, revision_record(&genesis()).payload));
        assert_eq!(sink.totals().events, 2);
        append(&sink, &[message(3, "C"), message(4, "d"), receipt(4)]).expect("written");
        let finished = sink.finish().expect("it is whole");
        assert_eq!((finished.totals.events, finished.events_before), (4, 2));
        let text = std::fs::read_to_string(folder.path().join("out")).expect("it has its name");
        assert_eq!(text, "a\nb\nC\nd\n");
        let mut left: Vec<_> = std::fs::read_dir(folder.path())
            .expect("a folder")
            .map(|e| e.expect("an entry").file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["out", "receipts"]);
    }

    #[test]
    fn a_payload_that_is_not_one_line_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let sink = open(folder.path());
        let error = append(&sink, &[message(1, "a\nb")]).expect_err("two lines").to_string();
        assert!(error.contains("message 1/0 has a line break"), "{error}");
        assert!(!folder.path().join("out").exists());
    }

    #[test]
    fn a_run_of_something_else_begins_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let sink = open(folder.path());
        append(&sink, &[revision_record(&genesis()), message(1, "a"), receipt(2)]).expect("written");
        sink.lock().checkpoint(false).expect("it is kept");
        let mut plan = plan();
        plan.block = 4;
        let files = SinkFiles {
            output: Place::File(folder.path().join("out")),
            format: OutputFormat::Ndjson,
            dead: None,
            receipts: None,
        };
        let other = FileSink::open(&files, &plan, Digest::of(b"input"), &genesis()).expect("the files open");
        assert_eq!(other.totals(), Totals::NONE);
        assert_eq!(other.lock().chain.last_sequence, 0);
    }
}
