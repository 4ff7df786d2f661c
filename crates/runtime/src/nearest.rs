/// At most three of `candidates` that a person may have meant by `wanted`, the nearest first.
///
/// Near is: one contains the other, or at most a third of the longer one's letters differ.
pub fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let wanted = clipped(wanted);
    let mut found: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let clipped = clipped(candidate);
            let distance = edit_distance(wanted, clipped);
            let longer = wanted.chars().count().max(clipped.chars().count());
            let contains = !wanted.is_empty() && (clipped.contains(wanted) || wanted.contains(clipped));
            (contains || distance * 3 <= longer).then_some((distance, candidate))
        })
        .collect();
    found.sort();
    found.dedup();
    found.into_iter().take(SUGGESTIONS).map(|(_, name)| name.to_owned()).collect()
}

/// Levenshtein's distance, by letters.
pub(crate) fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let substitute = diagonal + usize::from(from != *to);
            diagonal = *cell;
            *cell = substitute.min(*cell + 1).min(left + 1);
            left = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// The comparison is quadratic, and names come from outside.
fn clipped(name: &str) -> &str {
    name.char_indices().nth(LONGEST).map_or(name, |(end, _)| &name[..end])
}

const SUGGESTIONS: usize = 3;
const LONGEST: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, distance) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("a", "a", 0)]
        {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
            assert_eq!(edit_distance(b, a), distance, "{b} {a}");
        }
    }

    #[test]
    fn near_names_come_nearest_first_and_far_ones_not_at_all() {
        let names = ["greet", "greet-all", "add", "sub"];
        assert_eq!(nearest("gret", names), ["greet"]);
        assert_eq!(nearest("greet", names), ["greet", "greet-all"]);
        assert_eq!(nearest("multiply", names), Vec::<String>::new());
        assert_eq!(nearest(&"x".repeat(100_000), names), Vec::<String>::new());
        assert_eq!(nearest("", names), Vec::<String>::new());
    }
}
