//! What of jq's definitions a program needs. Compiling them all would cost an instance more than the program.
//!
//! A definition sees itself and those before it. So one pass from the last to the first finds all that are
//! needed; a name stands for all definitions of that name, which may be too many and is never too few.

use std::collections::BTreeSet;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::path::Part;

type Names<'a> = BTreeSet<&'a str>;

/// Of `definitions`, in their order, those that the program `code` can reach.
pub(crate) fn needed<'a>(definitions: Vec<Def<&'a str>>, code: &'a str) -> Vec<Def<&'a str>> {
    // Any word of the text may be a call, even in a string, where it may be interpolated.
    let mut names: Names<'a> = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let mut needed = Vec::new();
    for definition in definitions.into_iter().rev() {
        if names.contains(bare(definition.name)) {
            called(&definition.body, &mut names);
            needed.push(definition);
        }
    }
    needed.reverse();
    needed
}

/// The name of a definition without the sign of a format, as in `@base64`.
fn bare(name: &str) -> &str {
    name.trim_start_matches('@')
}

/// Adds the names of all that a term calls.
fn called<'a>(term: &Term<&'a str>, names: &mut Names<'a>) {
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => {}
        Term::Str(format, parts) => {
            names.extend(format.map(bare));
            for part in parts {
                if let StrPart::Term(term) = part {
                    called(term, names);
                }
            }
        }
        Term::Arr(term) => term.iter().for_each(|term| called(term, names)),
        Term::Obj(members) => {
            for (name, value) in members {
                called(name, names);
                value.iter().for_each(|value| called(value, names));
            }
        }
        Term::Neg(term) | Term::Label(_, term) => called(term, names),
        Term::BinOp(left, operator, right) => {
            if let BinaryOp::Pipe(Some(pattern)) = operator {
                called_in_pattern(pattern, names);
            }
            called(left, names);
            called(right, names);
        }
        Term::Fold(_, term, pattern, arguments) => {
            called(term, names);
            called_in_pattern(pattern, names);
            arguments.iter().for_each(|argument| called(argument, names));
        }
        Term::TryCatch(term, catch) => {
            called(term, names);
            catch.iter().for_each(|term| called(term, names));
        }
        Term::IfThenElse(branches, otherwise) => {
            for (condition, term) in branches {
                called(condition, names);
                called(term, names);
            }
            otherwise.iter().for_each(|term| called(term, names));
        }
        Term::Def(definitions, term) => {
            definitions.iter().for_each(|definition| called(&definition.body, names));
            called(term, names);
        }
        Term::Call(name, arguments) => {
            names.insert(bare(name));
            arguments.iter().for_each(|argument| called(argument, names));
        }
        Term::Path(term, path) => {
            called(term, names);
            for (part, _) in &path.0 {
                match part {
                    Part::Index(term) => called(term, names),
                    Part::Range(from, to) => from.iter().chain(to).for_each(|term| called(term, names)),
                }
            }
        }
    }
}

/// Adds the names of all that the keys of a pattern call.
fn called_in_pattern<'a>(pattern: &Pattern<&'a str>, names: &mut Names<'a>) {
    match pattern {
        Pattern::Var(_) => {}
        Pattern::Arr(elements) => elements.iter().for_each(|element| called_in_pattern(element, names)),
        Pattern::Obj(members) => {
            for (name, value) in members {
                called(name, names);
                called_in_pattern(value, names);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::program::{Program, definitions};

    #[test]
    fn each_definition_compiles_with_what_it_needs_and_no_more() {
        let all: Vec<_> = definitions().collect();
        for definition in &all {
            let arguments = vec!["."; definition.args.len()].join(";");
            let code = match definition.args.len() {
                0 => definition.name.to_owned(),
                _ => format!("{}({arguments})", definition.name),
            };
            let compiled = Program::try_from(code.clone()).map(|_| ());
            assert_eq!(compiled, Ok(()), "{code}");
        }
        let needed = |code| super::needed(all.clone(), code).iter().map(|d| d.name).collect::<Vec<_>>();
        assert_eq!(needed(".a + 1"), Vec::<&str>::new());
        assert_eq!(needed("\"\\(.a | select(.b))\""), ["empty", "select"]);
        assert_eq!(needed("@uri"), ["tostring", "@uri"]);
    }
}
