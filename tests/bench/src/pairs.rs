//! Comparing two sides: they take turns, and what counts is each pair's ratio.

/// What comparing gave.
#[derive(Clone, Debug)]
pub(crate) struct Compared {
    /// The median of the pairs' ratios, first side over second.
    pub(crate) ratio: f64,
    /// Between the quartiles of the ratios.
    pub(crate) spread: f64,
    /// The median of the first side.
    pub(crate) first: f64,
    /// The median of the second side.
    pub(crate) second: f64,
}

/// Measures `first` and `second` in turn, `pairs` times. Which goes first changes from pair to pair.
pub(crate) fn compare(
    pairs: usize,
    mut first: impl FnMut() -> anyhow::Result<f64>,
    mut second: impl FnMut() -> anyhow::Result<f64>,
) -> anyhow::Result<Compared> {
    let (mut ratios, mut firsts, mut seconds) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..pairs {
        let (a, b) = if pair % 2 == 0 {
            let a = first()?;
            (a, second()?)
        } else {
            let b = second()?;
            (first()?, b)
        };
        eprintln!("    pair {}: {} against {}, ratio {:.3}", pair + 1, round(a), round(b), a / b);
        ratios.push(a / b);
        firsts.push(a);
        seconds.push(b);
    }
    let [ratio, first, second] =
        [&mut ratios, &mut firsts, &mut seconds].map(|values| median(values.as_mut_slice()));
    Ok(Compared { ratio, spread: spread(&mut ratios), first, second })
}

/// The middle of some values.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// Between the quartiles of some values.
pub(crate) fn spread(values: &mut [f64]) -> f64 {
    quantile(values, 0.75) - quantile(values, 0.25)
}

/// A value with three digits that mean something.
pub(crate) fn round(value: f64) -> String {
    match value.abs() {
        1000.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// The value below which the share `at` of the values lies, between neighbours in proportion.
fn quantile(values: &mut [f64], at: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let place = at * last as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    values[below] + (values[above] - values[below]) * (place - place.floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_spread_of_a_few_values() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(spread(&mut [5.0, 1.0, 2.0, 3.0, 4.0]), 2.0);
    }

    #[test]
    fn sides_take_turns_and_the_slow_spell_of_one_pair_does_not_count() {
        let order = std::cell::RefCell::new(String::new());
        let speeds = [10.0, 1000.0, 10.0];
        let (mut a, mut b) = (speeds.iter(), [5.0; 3].iter());
        let side = |name, value: Option<&f64>| {
            order.borrow_mut().push(name);
            Ok(*value.expect("three pairs"))
        };
        let compared = compare(3, || side('A', a.next()), || side('B', b.next())).expect("it compares");
        assert_eq!(*order.borrow(), "ABBAAB");
        assert_eq!((compared.ratio, compared.first, compared.second), (2.0, 10.0, 5.0));
    }
}
