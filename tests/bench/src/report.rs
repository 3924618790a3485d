//! The report: rows with what they reached, for people as a table and for programs as JSON.

use std::path::Path;

use serde::Serialize;

use crate::pairs::{Compared, round};

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// The row's number, with a letter where it has several lines.
    pub(crate) id: String,
    /// What is measured, against what.
    pub(crate) name: String,
    /// What it came to; none where it could not be measured.
    pub(crate) value: Option<f64>,
    /// Between the quartiles of the single measurements.
    pub(crate) spread: Option<f64>,
    /// What it is to reach, such as `>= 0.95`; empty where it only informs.
    pub(crate) goal: String,
    /// Of the value.
    pub(crate) unit: String,
    /// Whether it reaches the goal; none without a goal or a value.
    pub(crate) met: Option<bool>,
    /// The figures behind it, and what limits it.
    pub(crate) note: String,
    /// What limits it, from profiles.
    pub(crate) limit: &'static str,
    /// Of rows about growth: the setting, and what was measured there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) points: Vec<(f64, f64)>,
}

/// What a value has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

/// All rows, with the machine they were measured on.
#[derive(Serialize)]
pub(crate) struct Report {
    /// What was run, on what, how often.
    pub(crate) method: Vec<String>,
    /// The rows.
    pub(crate) rows: Vec<Row>,
}

impl Goal {
    fn text(self) -> String {
        match self {
            Self::AtLeast(goal) => format!(">= {goal}"),
            Self::AtMost(goal) => format!("<= {goal}"),
        }
    }

    fn met(self, value: f64) -> Option<bool> {
        match self {
            Self::AtLeast(goal) => Some(value >= goal),
            Self::AtMost(goal) => Some(value <= goal),
        }
    }
}

impl Row {
    /// A row with a value.
    pub(crate) fn new(id: &str, name: &str, value: f64, goal: Goal, unit: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            value: Some(value),
            spread: None,
            goal: goal.text(),
            unit: unit.to_owned(),
            met: goal.met(value),
            note: String::new(),
            limit: crate::limits::of(id),
            points: Vec::new(),
        }
    }

    /// A row whose value could not be measured here.
    pub(crate) fn missing(id: &str, name: &str, goal: Goal, unit: &str) -> Self {
        Self { value: None, met: None, ..Self::new(id, name, f64::NAN, goal, unit) }
    }

    /// A row that compares two sides.
    pub(crate) fn compared(id: &str, name: &str, compared: &Compared, goal: Goal, unit: &str) -> Self {
        let row = Self::new(id, name, compared.ratio, goal, "times");
        let note = format!("{} against {} {unit}", round(compared.first), round(compared.second));
        Self { spread: Some(compared.spread), ..row }.noted(&note)
    }

    /// The same with the spread of its single measurements.
    pub(crate) fn spread(self, spread: f64) -> Self {
        Self { spread: Some(spread), ..self }
    }

    /// A row that only informs.
    pub(crate) fn told(id: &str, name: &str, value: f64, unit: &str) -> Self {
        let goal = String::new();
        Self { goal, met: None, ..Self::new(id, name, value, Goal::AtLeast(0.0), unit) }
    }

    /// The same with something to reach.
    pub(crate) fn goal(self, goal: Goal) -> Self {
        let met = self.value.and_then(|value| goal.met(value));
        Self { goal: goal.text(), met, ..self }
    }

    /// The same with the curve that it was taken from.
    pub(crate) fn with_points(self, points: Vec<(f64, f64)>) -> Self {
        let shown = |(at, value): &(f64, f64)| format!("{at}: {}", round(*value));
        let curve: Vec<String> = points.iter().map(shown).collect();
        Self { points, ..self }.noted(&curve.join(", "))
    }

    /// The same with more to say.
    pub(crate) fn noted(mut self, note: &str) -> Self {
        if !self.note.is_empty() {
            self.note.push_str("; ");
        }
        self.note.push_str(note);
        self
    }
}

impl Report {
    /// Prints the table.
    pub(crate) fn print(&self) {
        println!();
        for line in &self.method {
            println!("{line}");
        }
        println!(
            "\n{:>4}  {:<62} {:>9} {:>8}  {:<9} {:<14} met",
            "row", "measured", "value", "spread", "goal", "unit"
        );
        for row in &self.rows {
            let value = row.value.map_or("-".to_owned(), round);
            let spread = row.spread.map_or(String::new(), round);
            let met = row.met.map_or("", |met| if met { "yes" } else { "NO" });
            let Row { id, name, goal, unit, note, .. } = row;
            println!("{id:>4}  {name:<62} {value:>9} {spread:>8}  {goal:<9} {unit:<14} {met}");
            let limit = if row.limit.is_empty() { String::new() } else { format!("limit: {}", row.limit) };
            for line in [note.as_str(), &limit].into_iter().filter(|line| !line.is_empty()) {
                println!("      {line}");
            }
        }
        println!();
    }

    /// Writes `report.json` into a folder.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("report.json"), serde_json::to_vec_pretty(self)?)?;
        Ok(())
    }
}
