//! Recognition of dates and times.

/// Returns whether a text is a date (with or without a time of day) or a time of day.
///
/// A date consists of a year, a month and a day as numbers, in one of the usual orders, separated with `-`, `/` or
/// `.`. A time of day is in ISO 8601 format.
pub(crate) fn is_date(text: &str) -> bool {
    let (day, time) = match text.find(['T', ' ']) {
        Some(at) => (&text[..at], Some(text[at + 1..].trim())),
        None => (text, None),
    };
    match time {
        None => day_of(day).is_some() || (day.matches(':').count() == 2 && time_of(day).is_some()),
        Some(time) => day_of(day).is_some() && time_of(time).is_some(),
    }
}

/// Returns the Unix time in seconds of a date in the order year, month, day, with or without a time of day.
/// Returns `None` for other texts. A time without a time zone is taken as UTC.
pub(crate) fn seconds(text: &str) -> Option<f64> {
    let (day, time) = match text.find(['T', ' ']) {
        Some(at) => (&text[..at], Some(text[at + 1..].trim())),
        None => (text, None),
    };
    let Day::YearFirst(year, month, day) = day_of(day)? else { return None };
    let time = time.map_or(Some(0.0), time_of)?;
    // Counts the days since 1970-01-01 with Hinnant's algorithm `days_from_civil`, in which years start on 1 March
    // so that the leap day is the last day of a year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(f64::from(days) * 86_400.0 + time)
}

/// Date, classified by the order of its parts.
enum Day {
    /// Year, month and day.
    YearFirst(i32, i32, i32),
    /// Day and month, or month and day, followed by the year.
    YearLast,
}

fn day_of(text: &str) -> Option<Day> {
    let separator = text.chars().find(|c| !c.is_ascii_digit())?;
    if !"-/.".contains(separator) {
        return None;
    }
    let parts: Vec<&str> = text.split(separator).collect();
    let [a, b, c] = parts[..] else { return None };
    let number = |text: &str| {
        let plain = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse::<i32>().ok()).flatten()
    };
    let (x, y, z) = (number(a)?, number(b)?, number(c)?);
    let short = |text: &str| text.len() <= 2;
    let day = |x: i32| (1..=31).contains(&x);
    if a.len() == 4 && short(b) && short(c) {
        return (((1..=12).contains(&y)) && day(z)).then_some(Day::YearFirst(x, y, z));
    }
    // In a text with dots, two digits at the end could belong to a version number, so they are not taken as a
    // year.
    let year = c.len() == 4 || (c.len() == 2 && separator != '.');
    (short(a) && short(b) && year && day(x) && day(y) && x.min(y) <= 12).then_some(Day::YearLast)
}

/// Returns the seconds since midnight of a time such as `10:30`, `10:30:15` or `10:30:15.25`, optionally followed
/// by `Z` or an offset such as `+02:00`. The offset is subtracted.
fn time_of(text: &str) -> Option<f64> {
    let (clock, offset) = match text.find(['Z', '+', '-']) {
        Some(at) if &text[at..] == "Z" => (&text[..at], 0.0),
        Some(at) => {
            let sign = if text.as_bytes()[at] == b'-' { -1.0 } else { 1.0 };
            let (hours, minutes) = text[at + 1..].split_once(':').or_else(|| text[at + 1..].split_at_checked(2))?;
            (&text[..at], sign * (two(hours)? * 3600.0 + if minutes.is_empty() { 0.0 } else { two(minutes)? * 60.0 }))
        }
        None => (text, 0.0),
    };
    let mut parts = clock.trim().splitn(3, ':');
    let (hours, minutes) = (two(parts.next()?)?, two(parts.next()?)?);
    let seconds = match parts.next() {
        None => 0.0,
        Some(text) if text.starts_with(|c: char| c.is_ascii_digit()) => text.parse::<f64>().ok()?,
        Some(_) => return None,
    };
    (hours < 25.0 && minutes < 60.0 && seconds < 61.0).then_some(hours * 3600.0 + minutes * 60.0 + seconds - offset)
}

/// Parses a number of one or two digits.
fn two(text: &str) -> Option<f64> {
    let plain = matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_differ_from_other_texts() {
        for date in [
            "2024-01-31",
            "2024/1/5",
            "31.12.2024",
            "12/31/24",
            "2024-01-31T10:30:00Z",
            "2024-01-31 10:30",
            "2024-01-31 10:30:15.25+02:00",
            "10:30:15",
        ] {
            assert!(is_date(date), "{date}");
        }
        for other in [
            "",
            "Paris",
            "1.2.3",
            "1.2.30",
            "2024",
            "2024-13-01",
            "555-1234",
            "12-34",
            "a-b-c",
            "10:30",
            "é",
            "99/99/99",
        ] {
            assert!(!is_date(other), "{other}");
        }
    }

    #[test]
    fn seconds_are_those_of_the_unix_clock() {
        // The expected values are from Python's datetime.fromisoformat(text).timestamp(), with UTC as the time
        // zone of texts without one.
        for (text, expected) in [
            ("1970-01-01", 0.0),
            ("2000-02-29", 951_782_400.0),
            ("1969-12-31 23:59:59", -1.0),
            ("2024-03-01T12:00:00.5Z", 1_709_294_400.5),
            ("2024-03-01T12:00:00+02:00", 1_709_287_200.0),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        assert_eq!(seconds("31/12/2024"), None);
    }
}
