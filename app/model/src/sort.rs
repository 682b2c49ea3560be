//! The order of a list, as in the URL: `sort=name`, or `sort=-name` for the other direction.

use crate::newtype::Refused;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A column of a list of `T`.
pub struct Column<T: 'static> {
    /// Its heading.
    pub title: &'static str,
    /// Its order, if the list can be sorted by it.
    pub order: Option<Order<T>>,
}

/// How a list is sorted by one of its columns.
pub struct Order<T: 'static> {
    /// The column's name in the URL.
    pub name: &'static str,
    /// Compares two rows.
    pub compare: fn(&T, &T) -> Ordering,
}

impl<T> Column<T> {
    /// A column that the list can be sorted by.
    pub const fn sorted(title: &'static str, name: &'static str, compare: fn(&T, &T) -> Ordering) -> Self {
        Self { title, order: Some(Order { name, compare }) }
    }

    /// A column that it cannot be sorted by.
    pub const fn plain(title: &'static str) -> Self {
        Self { title, order: None }
    }
}

/// By which column a list is sorted, and in which direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sort {
    column: String,
    /// True for the largest first.
    pub descending: bool,
}

impl Sort {
    /// Sorts by the column of this name.
    pub fn by(column: &str, descending: bool) -> Self {
        Self { column: column.to_owned(), descending }
    }

    /// True if this is the column.
    pub fn is_by(&self, column: &str) -> bool {
        self.column == column
    }

    /// The order of two rows. Rows that are equal in it, and all rows for a column that does not exist, keep theirs if the sort
    /// is stable.
    pub fn compare<T>(&self, columns: &[Column<T>], a: &T, b: &T) -> Ordering {
        let order = columns.iter().filter_map(|c| c.order.as_ref()).find(|order| self.is_by(order.name));
        let ascending = order.map_or(Ordering::Equal, |order| (order.compare)(a, b));
        if self.descending { ascending.reverse() } else { ascending }
    }
}

impl FromStr for Sort {
    type Err = Refused;
    /// Reads a column's name, with `-` before it for descending.
    fn from_str(text: &str) -> Result<Self, Refused> {
        let (column, descending) = text.strip_prefix('-').map_or((text, false), |column| (column, true));
        if column.is_empty() || !column.bytes().all(|b| b.is_ascii_lowercase()) {
            return Err(Refused::new("That is not the name of a column."));
        }
        Ok(Self::by(column, descending))
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.descending { "-" } else { "" }, self.column)
    }
}

impl TryFrom<String> for Sort {
    type Error = Refused;
    fn try_from(text: String) -> Result<Self, Refused> {
        text.parse()
    }
}

impl From<Sort> for String {
    fn from(sort: Sort) -> String {
        sort.to_string()
    }
}

/// Unknown values come last.
pub fn missing_last<T>(a: Option<T>, b: Option<T>, compare: fn(&T, &T) -> Ordering) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => compare(&a, &b),
        (a, b) => a.is_none().cmp(&b.is_none()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column<(u8, Option<u8>)>; 2] = [
        Column::sorted("First", "first", |a, b| a.0.cmp(&b.0)),
        Column::sorted("Second", "second", |a, b| missing_last(a.1, b.1, Ord::cmp)),
    ];

    fn sorted(sort: &str) -> Vec<u8> {
        let mut rows = [(1, Some(3)), (3, None), (2, Some(1)), (0, Some(3))];
        let sort: Sort = sort.parse().unwrap();
        rows.sort_by(|a, b| sort.compare(&COLUMNS, a, b));
        rows.iter().map(|row| row.0).collect()
    }

    #[test]
    fn rows_are_sorted_by_any_column_in_both_directions() {
        assert_eq!(sorted("first"), [0, 1, 2, 3]);
        assert_eq!(sorted("-first"), [3, 2, 1, 0]);
        assert_eq!(
            sorted("second"),
            [2, 1, 0, 3],
            "equal rows keep their order, and what is missing comes last"
        );
        assert_eq!(sorted("nothing"), [1, 3, 2, 0]);
    }

    #[test]
    fn a_sort_reads_back_and_nonsense_is_none() {
        for text in ["name", "-cpu"] {
            assert_eq!(text.parse::<Sort>().unwrap().to_string(), text);
        }
        for text in ["", "-", "--name", "na me", "Name", "name&x"] {
            assert!(text.parse::<Sort>().is_err(), "{text}");
        }
    }
}
