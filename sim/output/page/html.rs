//! A page as HTML. Texts are escaped by the templates; pictures are ours, and escaped by whoever drew them.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Block, Drawing, Page, Part, SCRIPT, STYLE, Table};
use crate::output::report::MadeBy;

/// Nothing is fetched, from wherever the page is opened.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'";

pub(super) fn page(page: &Page) -> String {
    let whole = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="generator" content=(concat!("moesim ", env!("CARGO_PKG_VERSION")));
                meta name="color-scheme" content="light dark";
                title { (page.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    p.kind { (page.title) }
                    h1 { (page.question) }
                }
                main {
                    section.answer aria-label="The answer" {
                        @for (at, sentence) in page.answer.iter().enumerate() {
                            p class=[(at == 0).then_some("first")] { (sentence) }
                        }
                    }
                    @for (at, own) in page.parts.iter().enumerate() { (part(at, own)) }
                    (again(page))
                    (printed(page))
                }
                div #hint role="status" hidden {}
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    whole.into_string()
}

fn part(at: usize, part: &Part) -> Markup {
    let id = format!("part-{at}");
    html! {
        section aria-labelledby=(id) {
            h2 id=(id) { (part.heading) }
            @for block in &part.blocks {
                @match block {
                    Block::Words(words) => p { (words) },
                    Block::List(lines) => ul { @for line in lines { li { (line) } } },
                    Block::Table(own) => (table(own)),
                    Block::Drawing(own) => (drawing(own)),
                }
            }
        }
    }
}

/// Cells of more characters are broken into lines.
const LONG: usize = 32;

fn table(table: &Table) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label=(table.caption) {
            table {
                caption { (table.caption) }
                thead { tr { @for head in &table.head { th scope="col" { (head) } } } }
                tbody {
                    @for row in &table.rows {
                        tr {
                            @for (at, cell) in row.iter().enumerate() {
                                @let long = (cell.chars().count() > LONG).then_some("long");
                                @if at == 0 { th class=[long] scope="row" { (cell) } }
                                @else { td class=[long] { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Pixels that the text of a page is wide.
const TEXT_WIDTH: u32 = 912;

/// A picture, and its numbers in words for those who cannot point.
pub(super) fn drawing(drawing: &Drawing) -> Markup {
    let (width, height) = drawing.size;
    // Smaller than this its words cannot be read: what does not fit is scrolled to.
    let least = (width * 5 / 8).max(540);
    let vast = least > TEXT_WIDTH;
    html! {
        figure {
            div.wide.picture.vast[vast] style=(format!("--least: {least}px")) tabindex="0" role="region"
                aria-label=(drawing.name) {
                svg viewBox=(format!("0 0 {width} {height}")) role="img" aria-label=(drawing.name)
                    xmlns="http://www.w3.org/2000/svg" {
                    (PreEscaped(&drawing.inside))
                    g.hints {
                        @for hint in &drawing.hints {
                            rect x=(hint.at.0) y=(hint.at.1) width=(hint.size.0) height=(hint.size.1)
                                data-hint=(hint.text) {}
                        }
                    }
                }
            }
            @if !drawing.hints.is_empty() {
                details {
                    summary { "The numbers of this picture" }
                    ul { @for hint in &drawing.hints { li { (hint.text) } } }
                }
            }
        }
    }
}

/// How to make the result again.
fn again(page: &Page) -> Markup {
    let nothing = page.made_by.is_none() && page.closer.is_empty();
    html! {
        @if !nothing {
            section aria-labelledby="again" {
                h2 #again { "How to make it again" }
                @if let Some(made_by) = &page.made_by { (made(made_by)) }
                @if !page.closer.is_empty() {
                    p { "To look closer:" }
                    @for line in &page.closer { pre tabindex="0" { code { (line) } } }
                }
            }
        }
    }
}

fn made(made_by: &MadeBy) -> Markup {
    let version = match &made_by.commit {
        Some(commit) => format!("moesim {}, commit {commit}", made_by.moesim),
        None => format!("moesim {}", made_by.moesim),
    };
    html! {
        @if !made_by.arguments.is_empty() {
            pre tabindex="0" { code { (super::facts::command(&made_by.arguments)) } }
        }
        p {
            "By " (version) ". Results are functions of version, arguments and files: the same make the same \
            numbers, digit for digit, and " code { "moesim reproduce" } " compares them."
        }
        @if !made_by.inputs.is_empty() {
            (table(&super::facts::inputs(&made_by.inputs)))
        }
    }
}

/// What the command prints, and the result to save.
fn printed(page: &Page) -> Markup {
    html! {
        @if !page.text.is_empty() || !page.stored.is_empty() {
            section aria-labelledby="printed" {
                h2 #printed { "The whole result" }
                @if !page.text.is_empty() {
                    details {
                        summary { "As the command prints it" }
                        pre tabindex="0" { (page.text) }
                    }
                }
                @if !page.stored.is_empty() {
                    p { button #save type="button" { "Save the result as JSON" }
                        " as it is stored, for " code { "moesim plot" } ", " code { "report" } " and " code { "reproduce" } "." }
                    // No text ends the element: of JSON, `<` stands within texts alone.
                    script #stored type="application/json" {
                        (PreEscaped(page.stored.replace('<', "\\u003c")))
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_result_are_never_markup() {
        let hostile = "</script><script>alert(1)</script><b x=\"'&\">";
        let mut own = Page {
            title: hostile.to_owned(),
            question: hostile.to_owned(),
            answer: vec![hostile.to_owned()],
            text: hostile.to_owned(),
            closer: vec![hostile.to_owned()],
            stored: format!("{{\"a\": {hostile:?}}}"),
            ..Page::default()
        };
        let mut rows = Table::of(hostile, [hostile]);
        rows.row([hostile, hostile]);
        own.part(hostile, vec![Block::Words(hostile.to_owned()), Block::Table(rows)]);
        let html = own.html();
        assert!(!html.contains("<b x") && !html.contains("<script>alert"), "{html}");
        assert_eq!(html.matches("</script>").count(), 2, "{html}");
        assert!(html.contains("&lt;/script&gt;&lt;script&gt;alert(1)"), "{html}");
    }
}
