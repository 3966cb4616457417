//! One series as a picture: a line for each of those who were measured where something is varied, a bar for each where not.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use banner_tests::measure::{Curve, Series};
use plotters::{coord::Shift, prelude::*};

const SIZE: (u32, u32) = (860, 420);
/// Of it, the names at the right of lines.
const LEGEND: u32 = 170;

const BANNER: RGBColor = RGBColor(0, 114, 178);
/// Of the others: told apart by who does not see red and green alike (Okabe and Ito 2008), and three darker ones.
const OTHERS: [RGBColor; 10] = [
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(120, 120, 120),
    RGBColor(0, 0, 0),
    RGBColor(128, 88, 0),
    RGBColor(0, 80, 58),
    RGBColor(110, 50, 90),
];

/// Whether there is anything to draw: an axis that grows by factors has no nought.
pub(super) fn is_drawn(series: &Series) -> bool {
    series.curves.iter().flat_map(|curve| &curve.points).any(|point| point.spread.median > 0.0)
}

/// Draws it. Lines stand on axes that grow by factors: those who are measured side by side differ by orders of magnitude.
pub(super) fn draw(series: &Series, file: &Path) -> Result<()> {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(drawn)?;
    if series.size.is_some() { lines(series, &root) } else { bars(series, &root) }?;
    root.present().map_err(drawn)
}

/// Everybody with a colour.
fn coloured(series: &Series) -> impl Iterator<Item = (&Curve, RGBColor)> {
    let mut others = OTHERS.iter().cycle().copied();
    series.curves.iter().map(move |curve| {
        let colour = if curve.who == "banner" { BANNER } else { others.next().unwrap_or(BLACK) };
        (curve, colour)
    })
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

fn lines<B: DrawingBackend>(series: &Series, root: &DrawingArea<B, Shift>) -> Result<()> {
    let all = || series.curves.iter().flat_map(points);
    let x = range(all().map(|(x, _)| x).collect::<Vec<_>>().into_iter()).context("nothing was measured")?;
    let y = range(all().map(|(_, y)| y).collect::<Vec<_>>().into_iter()).context("nothing was measured")?;
    let (picture, legend) = root.split_horizontally(SIZE.0.saturating_sub(LEGEND));
    let mut chart = ChartBuilder::on(&picture)
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
    // From the top on, as they stand at the greatest size that they were measured at.
    let mut everybody: Vec<_> = coloured(series).collect();
    everybody.sort_by(|(one, _), (other, _)| last(other).total_cmp(&last(one)));
    for ((curve, colour), row) in everybody.into_iter().zip(0_i32..) {
        chart.draw_series(LineSeries::new(points(curve), colour.stroke_width(2))).map_err(drawn)?;
        chart.draw_series(points(curve).map(|point| Circle::new(point, 3, colour.filled()))).map_err(drawn)?;
        let y = row * 22 + 60;
        legend.draw(&PathElement::new([(8, y), (30, y)], colour.stroke_width(3))).map_err(drawn)?;
        legend.draw(&Text::new(curve.who.clone(), (38, y - 7), ("sans-serif", 14))).map_err(drawn)?;
    }
    Ok(())
}

fn last(curve: &Curve) -> f64 {
    points(curve).last().map_or(0.0, |(_, median)| median)
}

/// Side by side from nothing on, since their lengths are compared.
fn bars<B: DrawingBackend>(series: &Series, root: &DrawingArea<B, Shift>) -> Result<()> {
    let everybody: Vec<(&str, f64, RGBColor)> = coloured(series)
        .filter_map(|(curve, colour)| Some((curve.who.as_str(), curve.points.first()?.spread.median, colour)))
        .collect();
    let most = everybody.iter().map(|(_, median, _)| *median).max_by(f64::total_cmp).context("nothing was measured")?;
    let count = everybody.len();
    let mut chart = ChartBuilder::on(root)
        .caption(&series.title, ("sans-serif", 18))
        .margin(12)
        .margin_right(40)
        .x_label_area_size(40)
        .y_label_area_size(150)
        .build_cartesian_2d(0.0..most * 1.1, (0..count.saturating_sub(1)).into_segmented())
        .map_err(drawn)?;
    // The first one stands at the top.
    let place = |row: usize| count.saturating_sub(row.saturating_add(1));
    let name = |segment: &SegmentValue<usize>| match segment {
        SegmentValue::CenterOf(row) => everybody.get(place(*row)).map_or(String::new(), |(who, ..)| (*who).to_owned()),
        SegmentValue::Exact(_) | SegmentValue::Last => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(count)
        .y_label_formatter(&name)
        .x_desc(&series.unit)
        .x_label_formatter(&|x| short(*x))
        .light_line_style(WHITE)
        .draw()
        .map_err(drawn)?;
    for (row, (_, median, colour)) in everybody.iter().enumerate() {
        let (row, next) = (place(row), place(row).saturating_add(1));
        let end = if next == count { SegmentValue::Last } else { SegmentValue::Exact(next) };
        let mut bar = Rectangle::new([(0.0, SegmentValue::Exact(row)), (*median, end)], colour.filled());
        bar.set_margin(4, 4, 0, 0);
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
            assert!(is_drawn(&series));
            draw(&series, &file).unwrap();
            let svg = std::fs::read_to_string(&file).unwrap();
            assert!(["<svg", "banner", "nft", "Dropping"].iter().all(|text| svg.contains(text)), "{svg}");
        }
        let noughts = json.replace("9.0", "0.0").replace("12.0", "0.0").replace("40.0", "0.0");
        assert!(!is_drawn(&serde_json::from_str(&noughts).unwrap()));
    }
}
