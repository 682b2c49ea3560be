//! Points in time for people: relative, with the exact time on hover or tap.
//!
//! `js/page.js` updates relative times, with the same wording as [`ago`].

use leptos::prelude::*;
use model::time::Time;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The current time, by the clock of the side that runs this.
pub fn now() -> Time {
    #[cfg(feature = "hydrate")]
    {
        // Milliseconds since 1970 fit an f64 exactly for the next quarter of a million years.
        #[expect(clippy::cast_possible_truncation, reason = "a whole number far below 2^53")]
        Time(js_sys::Date::now() as i64)
    }
    #[cfg(not(feature = "hydrate"))]
    {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// How long ago, in one unit; after a month, the date.
pub fn ago(then: Time, now: Time) -> String {
    let seconds = then.millis_until(now) / 1000;
    match seconds {
        0..MINUTE => "just now".to_owned(),
        MINUTE..HOUR => format!("{} min ago", seconds / MINUTE),
        HOUR..DAY => format!("{} h ago", seconds / HOUR),
        _ if seconds < 2 * DAY => "1 day ago".to_owned(),
        _ if seconds < 31 * DAY => format!("{} days ago", seconds / DAY),
        _ => exact(then).chars().take(10).collect(),
    }
}

/// A duration in at most two units.
pub fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0 if millis < 100 => format!("{millis} ms"),
        0..10 => format!("{}.{} s", seconds, millis % 1000 / 100),
        10..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => format!("{} min {} s", seconds / MINUTE, seconds % MINUTE),
        _ => format!("{} h {} min", seconds / HOUR, seconds % HOUR / MINUTE),
    }
}

/// `2026-11-22 23:31:33 UTC`.
pub fn exact(time: Time) -> String {
    format!("{} UTC", stamp(time, ' '))
}

/// `2026-11-22T23:31:33Z` (RFC 3339), for programs.
pub fn rfc3339(time: Time) -> String {
    format!("{}Z", stamp(time, 'T'))
}

fn stamp(time: Time, separator: char) -> String {
    let seconds = time.0.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}{separator}{h:02}:{m:02}:{s:02}")
}

/// Year, month and day of the proleptic Gregorian calendar for a number of days since 1970-01-01. Counts years from
/// 1 March, so that the leap day is the last of its year, in eras of 400 years, each of 146,097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(719_468);
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A relative time, with the exact one on hover.
pub fn relative(time: Time) -> impl IntoView + use<> {
    view! { <time datetime=rfc3339(time) title=exact(time)>{ago(time, now())}</time> }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (millis, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399_000, "2000-02-28 23:59:59 UTC"),
            (951_868_799_999, "2000-02-29 23:59:59 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00:00 UTC"),
            (1_795_390_293_000, "2026-11-22 23:31:33 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(exact(Time(millis)), text, "{millis}");
        }
        assert_eq!(rfc3339(Time(0)), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn extreme_times_are_shown_as_something() {
        for millis in [i64::MIN, i64::MAX] {
            assert!(exact(Time(millis)).ends_with("UTC"));
            assert!(!ago(Time(millis), Time(0)).is_empty());
        }
    }

    #[test]
    fn relative_times_use_one_unit() {
        let now = Time(100 * 86_400_000);
        let before = |seconds: i64| ago(now.plus_millis(-seconds * 1000), now);
        assert_eq!(before(59), "just now");
        assert_eq!(before(60), "1 min ago");
        assert_eq!(before(7200), "2 h ago");
        assert_eq!(before(86_400), "1 day ago");
        assert_eq!(before(30 * 86_400), "30 days ago");
        assert_eq!(before(40 * 86_400), "1970-03-02");
        assert_eq!(ago(now.plus_millis(5000), now), "just now", "a clock ahead of ours");
    }

    #[test]
    fn spans_are_short() {
        assert_eq!(span(49), "49 ms");
        assert_eq!(span(349), "0.3 s");
        assert_eq!(span(12_999), "12 s");
        assert_eq!(span(185_000), "3 min 5 s");
        assert_eq!(span(3_840_000), "1 h 4 min");
    }
}
