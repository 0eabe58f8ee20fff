//! What may be meant by a name that is not known.

/// The nearest of some names, when it is near enough to be meant. Upper and lower case count as one.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.len() / 5).clamp(1, 4);
    let lower = name.to_lowercase();
    // Of two that are as near the one wins that begins alike.
    let rank = |other: &str| {
        let other = other.to_lowercase();
        let alike = lower.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
        (strsim::damerau_levenshtein(&lower, &other), usize::MAX - alike)
    };
    // The distance costs the product of the lengths, and a name in a file may be of any length.
    let names = names.into_iter().filter(|other| other.len().abs_diff(name.len()) <= limit);
    let ranked = names.map(|other| (rank(other), other));
    ranked.filter(|((distance, _), _)| *distance <= limit).min().map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_and_far_ones() {
        let names = ["volumes", "volume-driver", "volume", "comment", "command", "user"];
        for (name, near) in [
            ("volum", Some("volume")),
            ("Commnad", Some("command")),
            ("USER", Some("user")),
            ("us", None),
            ("xyz", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, names), near, "{name}");
        }
    }
}
