//! The report as pictures: how near each row comes to its goal, and how rates grow.

use std::path::Path;

use plotters::prelude::*;

use crate::report::{Report, Row};

/// Writes `report.svg` into a folder: how near each row with a goal comes to it.
pub(crate) fn write(report: &Report, folder: &Path) -> anyhow::Result<()> {
    let rows: Vec<(&Row, f64)> = report.rows.iter().filter_map(|row| Some((row, share(row)?))).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let path = folder.join("report.svg");
    let height = 60 + 26 * u32::try_from(rows.len()).unwrap_or(1);
    let area = SVGBackend::new(&path, (1000, height)).into_drawing_area();
    draw(&area, &rows).map_err(|error| anyhow::anyhow!("cannot draw {}: {error}", path.display()))
}

/// Writes `growth.svg` into a folder: the curves of the rows that have one, both axes in powers of two.
pub(crate) fn write_growth(report: &Report, folder: &Path) -> anyhow::Result<()> {
    let rows: Vec<&Row> = report.rows.iter().filter(|row| row.points.len() > 1).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let path = folder.join("growth.svg");
    let area =
        SVGBackend::new(&path, (1000, 360 * u32::try_from(rows.len().div_ceil(2))?)).into_drawing_area();
    draw_growth(&area, &rows).map_err(|error| anyhow::anyhow!("cannot draw {}: {error}", path.display()))
}

fn draw_growth(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    rows: &[&Row],
) -> Result<(), Box<dyn std::error::Error>> {
    area.fill(&WHITE)?;
    for (row, area) in rows.iter().zip(area.split_evenly((rows.len().div_ceil(2), 2))) {
        let ends = |axis: fn(&(f64, f64)) -> f64| {
            let values = row.points.iter().map(axis);
            values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)))
        };
        let ((left, right), (low, high)) = (ends(|point| point.0), ends(|point| point.1));
        let mut chart = ChartBuilder::on(&area)
            .caption(format!("{}  {}", row.id, row.name), ("sans-serif", 13))
            .margin(12)
            .x_label_area_size(28)
            .y_label_area_size(70)
            .build_cartesian_2d((left..right).log_scale(), (low / 2.0..high * 2.0).log_scale())?;
        chart.configure_mesh().light_line_style(WHITE).draw()?;
        let color = RGBColor(50, 90, 160);
        chart.draw_series(LineSeries::new(row.points.iter().copied(), color.stroke_width(2)))?;
        chart.draw_series(row.points.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
    }
    area.present()?;
    Ok(())
}

/// How much of its goal a row reaches: 1 or more is all of it.
fn share(row: &Row) -> Option<f64> {
    let (kind, goal) = row.goal.split_once(' ')?;
    let goal: f64 = goal.parse().ok()?;
    let value = row.value?;
    Some(if kind == ">=" { value / goal } else { goal / value.max(f64::MIN_POSITIVE) })
}

fn draw(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    rows: &[(&Row, f64)],
) -> Result<(), Box<dyn std::error::Error>> {
    const LEFT: i32 = 520;
    const UNIT: f64 = 220.0;
    area.fill(&WHITE)?;
    let font = ("sans-serif", 13).into_font();
    let text = |text: String, at: (i32, i32)| area.draw(&Text::new(text, at, font.clone()));
    text("share of the goal reached (1 is the line)".to_owned(), (LEFT, 10))?;
    for (at, (row, share)) in rows.iter().enumerate() {
        let y = 36 + 26 * i32::try_from(at)?;
        let color = if *share >= 1.0 { RGBColor(60, 140, 80) } else { RGBColor(190, 80, 60) };
        let width = (share.min(2.0) * UNIT) as i32;
        area.draw(&Rectangle::new([(LEFT, y), (LEFT + width, y + 16)], color.filled()))?;
        text(format!("{}  {}", row.id, row.name), (10, y + 2))?;
        text(format!("{share:.2}"), (LEFT + width + 6, y + 2))?;
    }
    let line = LEFT + UNIT as i32;
    let bottom = 36 + 26 * i32::try_from(rows.len())?;
    area.draw(&PathElement::new([(line, 30), (line, bottom)], BLACK.stroke_width(1)))?;
    area.present()?;
    Ok(())
}
