//! "Did you mean": the nearest of the known words, if one is near.

/// Turns serde's sentence about an unknown key or value into one that names the nearest known one. Any other
/// sentence is given back as it is.
pub(crate) fn explain_unknown(message: &str) -> String {
    let unknown =
        ["unknown field `", "unknown variant `"].iter().find_map(|start| message.strip_prefix(start));
    let Some(unknown) = unknown else { return message.to_owned() };
    // Between back-quotes: the unknown word first, then all that are known.
    let mut quoted = unknown.split('`');
    let word = quoted.next().unwrap_or_default();
    let known: Vec<&str> = quoted.skip(1).step_by(2).collect();
    let what = if message.starts_with("unknown field") { "key" } else { "value" };
    match nearest(word, &known) {
        Some(near) => format!("unknown {what} '{word}'; did you mean '{near}'?"),
        None => format!("unknown {what} '{word}'; known are {}", known.join(", ")),
    }
}

/// The known word that is nearest to `word`, if at most a third of it would have to change.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let scored = known.iter().map(|candidate| (distance(word, candidate), *candidate));
    let (distance, candidate) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= candidate.chars().count().max(3) / 3).then_some(candidate)
}

/// How many characters have to be put in, left out or changed to make `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    // A word far longer than any key is near to none, and this bounds the work.
    if a.len() > 100 {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_and_a_far_one_is_not() {
        let known = ["stream", "subject", "subjects", "start", "max_age"];
        for (word, near) in [
            ("straem", Some("stream")),
            ("subjets", Some("subjects")),
            ("Start", Some("start")),
            ("max-age", Some("max_age")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), near, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(1000), &known), None);
    }

    #[test]
    fn sentences_are_rewritten_only_where_they_name_unknown_words() {
        let one = "unknown field `blok`, expected one of `name`, `block`";
        assert_eq!(explain_unknown(one), "unknown key 'blok'; did you mean 'block'?");
        let two = "unknown variant `x`, expected `dead_letter` or `stop`";
        assert_eq!(explain_unknown(two), "unknown value 'x'; known are dead_letter, stop");
        assert_eq!(explain_unknown("missing field `name`"), "missing field `name`");
    }
}
