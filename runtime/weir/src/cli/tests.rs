//! What can be typed.

use clap::CommandFactory as _;

use super::*;

#[test]
fn the_command_line_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn help_is_the_published_one() {
    let mut root = Cli::command().term_width(100);
    root.build();
    check_help(&mut root, "weir");
}

/// Compares the help of a verb, and of all verbs below it.
fn check_help(command: &mut clap::Command, name: &str) {
    let directory = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/help"));
    let text = command.render_long_help().to_string();
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    crate::golden::check(&directory.join(format!("{name}.txt")), &format!("{}\n", lines.join("\n")));
    for verb in command.get_subcommands_mut() {
        let name = format!("{name}-{}", verb.get_name());
        check_help(verb, &name);
    }
}

#[test]
fn flags_about_the_node_stand_before_or_after_the_verb() {
    for line in [
        "weir --node http://a status p",
        "weir status --node http://a p",
        "weir --node http://b status p --node http://a",
    ] {
        let cli = Cli::try_parse_from(line.split(' ')).expect(line);
        let Verb::Status(args) = cli.verb else { panic!("{line}") };
        assert_eq!(args.remote.or(cli.remote).client.node.as_deref(), Some("http://a"), "{line}");
    }
}

#[test]
fn flags_about_the_node_are_refused_where_there_is_none() {
    let given = Remote { output: Some(Output::Json), ..Remote::default() };
    let error = given.refuse_for("schema").expect_err("it talks to no node");
    assert_eq!(error.exit, Exit::Usage);
    assert!(Remote::default().refuse_for("schema").is_ok());
}
