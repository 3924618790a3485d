//! A jq program: compiled from its text, run on a value.

use jaq_core::data::JustLut;
use jaq_core::load::parse::Def;
use jaq_core::load::{self, Arena, File, Loader};
use jaq_core::native::{Fun, run, v};
use jaq_core::{Compiler, Ctx, DataT, Filter, Vars, compile};
use jaq_json::Val;
use serde::Deserialize;
use weir_sdk::{Reject, Result};

use crate::definitions;

/// What would make an output depend on more than the input, or end the module: taken out of the language.
const ABSENT: [&str; 6] = ["now", "env", "localtime", "strflocaltime", "halt", "halt_error"];
/// What jaq prints to standard error; here it goes to the log.
const LOGGED: [&str; 2] = ["debug_empty", "stderr_empty"];
/// The one global variable.
const EVENT: &str = "$event";

/// A compiled program.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Program {
    filter: Filter<JustLut<Val>>,
    names_event: bool,
}

impl Program {
    /// Whether `$event` occurs in it.
    pub(crate) fn names_event(&self) -> bool {
        self.names_event
    }

    /// All outputs for one input.
    ///
    /// # Errors
    /// The first error that no `try` in the program catches.
    pub(crate) fn run(&self, input: Val, event: Val) -> Result<Vec<Val>> {
        let context = Ctx::<JustLut<Val>>::new(&self.filter.lut, Vars::new([event]));
        let outputs = self.filter.id.run((context, input)).map(jaq_core::unwrap_valr);
        outputs.collect::<Result<_, _>>().map_err(|error| match error.into_val() {
            Val::TStr(text) => Reject::new(jaq_json::bstr(&*text)),
            other => Reject::new(other),
        })
    }
}

impl TryFrom<String> for Program {
    type Error = String;

    fn try_from(code: String) -> Result<Self, String> {
        let arena = Arena::default();
        let loader = Loader::new(definitions::needed(definitions().collect(), &code));
        let modules = loader.load(&arena, File { code: code.as_str(), path: () }).map_err(|errors| {
            errors.first().map_or_else(String::new, |(file, error)| explain_load(file.code, error))
        })?;
        let filter =
            Compiler::default().with_funs(functions()).with_global_vars([EVENT]).compile(modules).map_err(
                |errors| {
                    let first = errors.iter().find_map(|(file, list)| Some((file.code, list.first()?)));
                    first.map_or_else(String::new, |(code, error)| explain_compile(code, error))
                },
            )?;
        Ok(Self { filter, names_event: code.contains(EVENT) })
    }
}

/// The definitions of the language, each of which sees itself and those before it.
pub(crate) fn definitions() -> impl Iterator<Item = Def<&'static str>> {
    let all = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    all.filter(|definition| !ABSENT.contains(&definition.name))
}

/// The functions of the language.
fn functions<D: for<'a> DataT<V<'a> = Val>>() -> impl Iterator<Item = Fun<D>> {
    let all = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let kept = all.filter(|(name, ..)| !ABSENT.contains(name) && !LOGGED.contains(name));
    kept.chain(LOGGED.map(|name| {
        run((name, v(0), |input| {
            weir_sdk::info!("{}", input.1);
            Box::new(std::iter::empty())
        }))
    }))
}

fn explain_load(code: &str, error: &load::Error<&str>) -> String {
    let (at, expected) = match error {
        load::Error::Io(errors) => match errors.first() {
            Some((path, _)) => return fault(code, path, "there are no files to include"),
            None => return String::new(),
        },
        load::Error::Lex(errors) => match errors.first() {
            Some((expected, found)) => (*found, expected.as_str()),
            None => return String::new(),
        },
        load::Error::Parse(errors) => match errors.first() {
            Some((expected, found)) => (*found, expected.as_str()),
            None => return String::new(),
        },
    };
    fault(code, at, &format!("expected {expected}"))
}

fn explain_compile(code: &str, (name, undefined): &compile::Error<&str>) -> String {
    let what = match undefined {
        compile::Undefined::Filter(arity) => format!("there is no filter {name}/{arity}"),
        other => format!("there is no {} {name}", other.as_str()),
    };
    let why = if ABSENT.contains(name) { " (an output can depend on nothing but the event)" } else { "" };
    fault(code, name, &format!("{what}{why}"))
}

/// Says what is wrong and where; `at` is a part of `code`.
fn fault(code: &str, at: &str, what: &str) -> String {
    let before = &code[..load::span(code, at).start.min(code.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    format!("the jq program does not compile: line {line}, column {column}: {what}")
}
