//! One result as a page: a single HTML file that asks no network for anything.
//!
//! A [`Page`] is plain data in the order in which people read: the question, the answer, pictures that say their
//! numbers where readers point, where the time goes, how sure that is, what it stands on, what went in, what is left
//! out, and how to make it again. It is made from a result alone; `html` escapes every text of it.

use super::plot::{self, Chart, Hint, PlotError};
use super::report::MadeBy;

mod decisions;
mod facts;
mod html;
mod memory;
mod others;
mod run;
mod systems;
mod tables;

pub(crate) use facts::command;
pub(crate) use run::closer;

/// How pages look.
pub const STYLE: &str = include_str!("page/page.css");
/// What says the numbers of pictures where readers point.
pub const SCRIPT: &str = include_str!("page/page.js");

/// A page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Its name, in a few words.
    pub title: String,
    /// What was asked.
    pub question: String,
    /// The answer in sentences, the first alone being enough.
    pub answer: Vec<String>,
    /// What stands on it, in order.
    pub parts: Vec<Part>,
    /// What it was made by, where the result says so.
    pub made_by: Option<MadeBy>,
    /// Commands that look closer.
    pub closer: Vec<String>,
    /// What the command prints for people.
    pub text: String,
    /// The result as it is stored, kept within the page; nothing where it is no JSON.
    pub stored: String,
}

/// A part of a page under a heading.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The heading.
    pub heading: String,
    /// What stands under it.
    pub blocks: Vec<Block>,
}

/// What stands in a part.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// A paragraph.
    Words(String),
    /// A list.
    List(Vec<String>),
    /// A table.
    Table(Table),
    /// A picture.
    Drawing(Drawing),
}

/// Rows of cells; the first cell of a row names it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// The headings of its columns.
    pub head: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of no rows.
    fn of<S: Into<String>>(caption: &str, head: impl IntoIterator<Item = S>) -> Self {
        let head = head.into_iter().map(Into::into).collect();
        Self { caption: caption.to_owned(), head, rows: Vec::new() }
    }

    fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

/// A picture as it lies within a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    /// What it shows, in a sentence or a few words.
    pub name: String,
    /// Its width and height in pixels.
    pub size: (u32, u32),
    /// What is inside its element `svg`.
    pub inside: String,
    /// What its places say.
    pub hints: Vec<Hint>,
}

impl Drawing {
    /// Of a chart.
    ///
    /// # Errors
    /// If it cannot be drawn.
    pub fn of(name: &str, chart: &impl Chart) -> Result<Self, PlotError> {
        let (inside, hints) = (plot::inline(chart)?, chart.hints());
        Ok(Self { name: name.to_owned(), size: chart.size(), inside, hints })
    }
}

impl Page {
    /// As one HTML file.
    #[must_use]
    pub fn html(&self) -> String {
        html::page(self)
    }

    /// Adds a part, unless it is empty.
    fn part(&mut self, heading: &str, blocks: Vec<Block>) {
        if !blocks.is_empty() {
            self.parts.push(Part { heading: heading.to_owned(), blocks });
        }
    }

    /// Puts a picture in front of all parts, behind those that are there already.
    pub fn draw(&mut self, drawing: Drawing) {
        const PICTURES: &str = "Pictures";
        if self.parts.first().is_none_or(|first| first.heading != PICTURES) {
            let own = Part { heading: PICTURES.to_owned(), blocks: Vec::new() };
            self.parts.insert(0, own);
        }
        self.parts[0].blocks.push(Block::Drawing(drawing));
    }

    /// The element `svg` of each picture and its numbers, as they lie in the page.
    #[must_use]
    pub fn drawing(drawing: &Drawing) -> String {
        html::drawing(drawing).into_string()
    }
}
