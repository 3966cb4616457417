//! One series as a picture: a line for each of those who were measured where something is varied, a bar for each where not.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use banner_tests::measure::{Curve, Series};
use plotters::prelude::*;

const SIZE: (u32, u32) = (760, 420);

/// banner first; then colours that are told apart in grey too, and by who does not see red and green alike (Okabe and Ito 2008).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(120, 120, 120),
    RGBColor(0, 0, 0),
];

/// Draws it. Both axes grow by factors: those who are measured side by side differ by orders of magnitude.
pub(super) fn draw(series: &Series, file: &Path) -> Result<()> {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(drawn)?;
    if series.size.is_some() { lines(series, &root) } else { bars(series, &root) }?;
    root.present().map_err(drawn)
}

fn colour(place: usize) -> RGBColor {
    COLOURS.get(place % COLOURS.len()).copied().unwrap_or(BLACK)
}

/// A library's errors borrow what was drawn.
fn drawn(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("{error}")
}

/// The least and the greatest value, with room around; never nothing.
fn range(values: impl Iterator<Item = f64> + Clone) -> Option<std::ops::Range<f64>> {
    let values = values.filter(|value| *value > 0.0);
    let least = values.clone().min_by(f64::total_cmp)?;
    let most = values.max_by(f64::total_cmp)?;
    Some(least / 1.6..most * 1.6)
}

fn points(curve: &Curve) -> impl Iterator<Item = (f64, f64)> + Clone {
    curve.points.iter().filter_map(|point| Some((point.size? as f64, point.spread.median)))
}

fn lines<B: DrawingBackend>(series: &Series, root: &DrawingArea<B, plotters::coord::Shift>) -> Result<()> {
    let all = || series.curves.iter().flat_map(points);
    let x = range(all().map(|(x, _)| x).collect::<Vec<_>>().into_iter()).context("nothing was measured")?;
    let y = range(all().map(|(_, y)| y).collect::<Vec<_>>().into_iter()).context("nothing was measured")?;
    let mut chart = ChartBuilder::on(root)
        .caption(&series.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(x.log_scale(), y.log_scale())
        .map_err(drawn)?;
    chart
        .configure_mesh()
        .x_desc(series.size.as_deref().unwrap_or_default())
        .y_desc(&series.unit)
        .x_label_formatter(&|x| short(*x))
        .y_label_formatter(&|y| short(*y))
        .light_line_style(WHITE)
        .draw()
        .map_err(drawn)?;
    for (place, curve) in series.curves.iter().enumerate() {
        let colour = colour(place);
        let line = chart.draw_series(LineSeries::new(points(curve), colour.stroke_width(2))).map_err(drawn)?;
        line.label(&curve.who).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(points(curve).map(|point| Circle::new(point, 3, colour.filled()))).map_err(drawn)?;
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.2)).draw().map_err(drawn)
}

fn bars<B: DrawingBackend>(series: &Series, root: &DrawingArea<B, plotters::coord::Shift>) -> Result<()> {
    let medians: Vec<(&str, f64)> = series
        .curves
        .iter()
        .filter_map(|curve| Some((curve.who.as_str(), curve.points.first()?.spread.median)))
        .collect();
    let y = range(medians.iter().map(|(_, median)| *median).collect::<Vec<_>>().into_iter());
    let y = y.context("nothing was measured")?;
    let (least, count) = (y.start, medians.len());
    let mut chart = ChartBuilder::on(root)
        .caption(&series.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d((0..count).into_segmented(), y.log_scale())
        .map_err(drawn)?;
    let name = |segment: &SegmentValue<usize>| match segment {
        SegmentValue::CenterOf(place) | SegmentValue::Exact(place) => {
            medians.get(*place).map_or(String::new(), |(who, _)| (*who).to_owned())
        }
        SegmentValue::Last => String::new(),
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(count)
        .x_label_formatter(&name)
        .y_desc(&series.unit)
        .y_label_formatter(&|y| short(*y))
        .light_line_style(WHITE)
        .draw()
        .map_err(drawn)?;
    for (place, (_, median)) in medians.iter().enumerate() {
        let mut bar = Rectangle::new(
            [(SegmentValue::Exact(place), least), (SegmentValue::Exact(place + 1), *median)],
            colour(place).filled(),
        );
        bar.set_margin(0, 0, 12, 12);
        chart.draw_series([bar]).map_err(drawn)?;
    }
    Ok(())
}

/// `1.5 M` for a million and a half.
fn short(value: f64) -> String {
    let (value, unit) = match value {
        1e6.. => (value / 1e6, " M"),
        1e3.. => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = if value >= 10.0 || value.fract() == 0.0 {
        0
    } else if value >= 1.0 {
        1
    } else {
        3
    };
    format!("{value:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown: Vec<_> = [0.162, 1.0, 2.5, 42.0, 1_500.0, 100_000.0, 5_000_000.0].map(short).into();
        assert_eq!(shown, ["0.162", "1", "2.5", "42", "1.5 k", "100 k", "5 M"]);
    }

    #[test]
    fn a_series_is_drawn_with_everybody_named() {
        let json = r#"{"name":"drop","title":"Dropping","unit":"ns","size":"bans","better":"less","curves":[
            {"who":"banner","points":[{"size":1,"samples":[9.0],"spread":{"low":9.0,"median":9.0,"high":9.0}},
                {"size":1000,"samples":[12.0],"spread":{"low":12.0,"median":12.0,"high":12.0}}]},
            {"who":"nft","points":[{"size":1000,"samples":[40.0],"spread":{"low":40.0,"median":40.0,"high":40.0}}]}]}"#;
        let folder = tempfile::tempdir().unwrap();
        for (file, json) in
            [("lines.svg", json.to_owned()), ("bars.svg", json.replace("\"size\":\"bans\"", "\"size\":null"))]
        {
            let series: Series = serde_json::from_str(&json).unwrap();
            let file = folder.path().join(file);
            draw(&series, &file).unwrap();
            let svg = std::fs::read_to_string(&file).unwrap();
            assert!(["<svg", "banner", "nft", "Dropping"].iter().all(|text| svg.contains(text)), "{svg}");
        }
    }
}
