//! HCL as it is written: a small tree of expressions and blocks, put into the library's tree with the white space that
//! `terraform fmt` would give it.
//!
//! The formatter's rules that matter here: two spaces a level; in consecutive lines the `=` stand below each other, but
//! a line whose value goes on in the next line is no part of such a column and ends it.

use std::fmt::Write as _;

use hcl_edit::expr::{
    Array, Conditional, Expression, ForExpr, ForIntro, FuncArgs, FuncCall, Object, ObjectKey,
    ObjectValue, ObjectValueTerminator, Traversal, TraversalOperator,
};
use hcl_edit::structure::{Attribute, Block as EditBlock, BlockLabel, Body as EditBody};
use hcl_edit::template::{Element, HeredocTemplate, Interpolation, StringTemplate, Template};
use hcl_edit::{Decorate, Decorated, Ident};

/// Lists and calls that fit into so many columns stay in one line.
const WIDTH: usize = 120;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    /// Nothing: the argument counts as not given.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as JSON writes it.
    Number(serde_json::Number),
    /// A text with expressions in it.
    Text(Vec<Piece>),
    /// A reference (`var.x`, `awscc_ec2_vpc.vpc[0].vpc_id`), or another short expression that is written as it is.
    Code(String),
    /// A list.
    List(Vec<Expr>),
    /// An object, its keys in order.
    Object(Vec<(Vec<Piece>, Expr)>),
    /// A function call.
    Call(&'static str, Vec<Expr>),
    /// `if ? then : otherwise`.
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// An item of a list.
    Index(Box<Expr>, usize),
    /// A list made of each `item` of another.
    Each(Box<Expr>, Box<Expr>),
    /// A text over several lines.
    Heredoc(Vec<Piece>),
    /// An object's value with a comment above it.
    Noted(String, Box<Expr>),
    /// A list of `{ key = …, value = … }` from a map; the two names are the provider's.
    TagList(Box<Expr>, &'static str, &'static str),
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    /// As it is.
    Literal(String),
    /// `${…}`.
    Code(Expr),
}

impl Expr {
    /// A text without expressions.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(vec![Piece::Literal(text.into())])
    }

    /// A reference.
    pub(super) fn code(code: impl Into<String>) -> Self {
        Self::Code(code.into())
    }

    /// An object with plain keys.
    pub(super) fn object<K: Into<String>>(entries: impl IntoIterator<Item = (K, Expr)>) -> Self {
        Self::Object(
            entries
                .into_iter()
                .map(|(key, value)| (vec![Piece::Literal(key.into())], value))
                .collect(),
        )
    }

    fn is_scalar(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Object(_) | Self::TagList(..))
    }

    /// Whether it may stand in one line at all: objects only when they are small.
    fn may_be_flat(&self) -> bool {
        match self {
            Self::Object(entries) => {
                entries.len() <= 3
                    && entries
                        .iter()
                        .all(|(_, value)| value.is_scalar() && value.may_be_flat())
            }
            Self::List(items) => items.iter().all(Self::may_be_flat),
            Self::Call("jsonencode", arguments) => arguments
                .iter()
                .all(|argument| *argument == Self::Object(Vec::new())),
            Self::Call(_, arguments) => arguments.iter().all(Self::may_be_flat),
            Self::If(_, then, otherwise) => then.may_be_flat() && otherwise.may_be_flat(),
            Self::TagList(map, _, _) => !can_break(map),
            Self::Index(of, _) => of.may_be_flat(),
            Self::Each(list, each) => list.may_be_flat() && each.may_be_flat(),
            Self::Noted(_, value) => value.may_be_flat(),
            Self::Heredoc(_) => false,
            Self::Text(pieces) => pieces.iter().all(|piece| match piece {
                Piece::Literal(_) => true,
                Piece::Code(code) => code.may_be_flat(),
            }),
            _ => true,
        }
    }

    /// Its length in one line, if it may stand in one.
    fn flat_len(&self) -> Option<usize> {
        self.may_be_flat()
            .then(|| to_edit(self, 0, false).to_string().chars().count())
    }
}

/// What a block holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Body(pub(super) Vec<Line>);

/// A part of a body.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Line {
    /// An argument.
    Argument(String, Expr),
    /// A block in it.
    Block(Block),
    /// An empty line.
    Gap,
}

/// A block.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Block {
    /// Comment lines above it, without `#`.
    pub(super) comment: Vec<String>,
    /// `resource`, `variable`.
    pub(super) kind: String,
    /// What stands in quotes behind it.
    pub(super) labels: Vec<String>,
    /// What is in it.
    pub(super) body: Body,
}

impl Block {
    /// An empty block.
    pub(super) fn new(kind: &str, labels: &[&str]) -> Self {
        Self {
            comment: Vec::new(),
            kind: kind.to_owned(),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            body: Body::default(),
        }
    }

    /// With a comment line.
    pub(super) fn comment(mut self, line: impl Into<String>) -> Self {
        self.comment.push(line.into());
        self
    }

    /// With an argument.
    pub(super) fn with(mut self, name: &str, value: Expr) -> Self {
        self.body.argument(name, value);
        self
    }

    /// With a block in it.
    pub(super) fn block(mut self, block: Block) -> Self {
        self.body.block(block);
        self
    }
}

impl Body {
    /// Adds an argument.
    pub(super) fn argument(&mut self, name: impl Into<String>, value: Expr) {
        self.0.push(Line::Argument(name.into(), value));
    }

    /// Adds a block, with an empty line before it unless it is the first.
    pub(super) fn block(&mut self, block: Block) {
        if !self.0.is_empty() {
            self.0.push(Line::Gap);
        }
        self.0.push(Line::Block(block));
    }

    fn to_edit(&self, level: usize, first: &str) -> EditBody {
        let indent = "  ".repeat(level);
        let mut body = EditBody::new();
        let mut gap = false;
        let prefix = |gap: &mut bool, is_first: bool| {
            let mut text = if is_first {
                first.to_owned()
            } else {
                String::new()
            };
            if std::mem::take(gap) {
                text.push('\n');
            }
            text.push_str(&indent);
            text
        };
        let columns = columns(
            &self
                .0
                .iter()
                .map(|line| match line {
                    Line::Argument(name, value) => {
                        (name.len(), is_flat(value, level, name.len()), false)
                    }
                    // Of no length, so that it ends a run without a column.
                    _ => (0, false, false),
                })
                .collect::<Vec<_>>(),
        );
        for (line, column) in self.0.iter().zip(columns) {
            let is_first = body.is_empty();
            match line {
                Line::Gap => gap = true,
                Line::Argument(name, value) => {
                    let before = prefix(&mut gap, is_first);
                    let mut key = Decorated::new(Ident::new(name));
                    key.decor_mut().set_prefix(before);
                    key.decor_mut()
                        .set_suffix(" ".repeat(column - name.len() + 1));
                    let flat = is_flat(value, level, name.len());
                    let mut value = to_edit(value, level, !flat);
                    value.decor_mut().set_prefix(" ");
                    body.push(Attribute::new(key, value));
                }
                Line::Block(block) => {
                    let mut before = prefix(&mut gap, is_first);
                    for line in &block.comment {
                        let _ = write!(before, "# {line}\n{indent}");
                    }
                    let mut edit = EditBlock::new(Ident::new(&block.kind));
                    edit.labels = block
                        .labels
                        .iter()
                        .map(|label| BlockLabel::from(label.as_str()))
                        .collect();
                    edit.decor_mut().set_prefix(before);
                    edit.body = block.body.to_edit(level + 1, "");
                    if block.body.0.is_empty() {
                        edit.body.set_prefer_oneline(true);
                    } else {
                        edit.body.decor_mut().set_suffix(indent.as_str());
                    }
                    body.push(edit);
                }
            }
        }
        body
    }

    /// The text of a file: `header` and the body.
    pub(super) fn file(&self, header: &str) -> String {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        format!("{header}{gap}{}", self.to_edit(0, ""))
    }
}

/// The column of each line's `=`: that of its run of consecutive one-line arguments. A line has its name's length, whether
/// it is one line, and whether a comment stands above it, which ends the run before.
fn columns(lines: &[(usize, bool, bool)]) -> Vec<usize> {
    let mut columns: Vec<usize> = Vec::with_capacity(lines.len());
    while let Some((length, flat, _)) = lines.get(columns.len()) {
        if !flat {
            columns.push(*length);
            continue;
        }
        let start = columns.len();
        let run = 1 + lines[start + 1..]
            .iter()
            .take_while(|(_, flat, noted)| *flat && !noted)
            .count();
        let widest = lines[start..start + run]
            .iter()
            .map(|(length, _, _)| *length)
            .max();
        columns.extend(std::iter::repeat_n(widest.unwrap_or_default(), run));
    }
    columns
}

/// Whether an argument's value stands in one line. Objects that are arguments never do, unless they are empty.
fn is_flat(value: &Expr, level: usize, name: usize) -> bool {
    match value {
        Expr::Object(entries) => entries.is_empty(),
        // The formatter counts its first line.
        Expr::Heredoc(_) => true,
        Expr::Noted(_, value) => is_flat(value, level, name),
        Expr::List(items)
            if items.iter().any(|item| matches!(item, Expr::Object(_))) && items.len() > 1 =>
        {
            false
        }
        _ => {
            value
                .flat_len()
                .is_some_and(|length| 2 * level + name + 3 + length <= WIDTH)
                || !can_break(value)
        }
    }
}

/// Whether there is any place to break it.
fn can_break(value: &Expr) -> bool {
    match value {
        Expr::List(items) => !items.is_empty(),
        Expr::Object(entries) => !entries.is_empty(),
        Expr::Call(name, arguments) if !hugs(name, arguments) => !arguments.is_empty(),
        Expr::Call(_, arguments) => arguments.last().is_some_and(can_break),
        Expr::If(_, then, _) => can_break(then),
        Expr::TagList(map, _, _) => can_break(map),
        Expr::Noted(_, value) => can_break(value),
        _ => false,
    }
}

/// `${…}` without spaces in it.
fn interpolation(code: &Expr) -> Element {
    let mut code = to_edit(code, 0, false);
    code.decor_mut().set_prefix("");
    code.decor_mut().set_suffix("");
    Element::from(Interpolation::new(code))
}

fn pieces(pieces: &[Piece]) -> Expression {
    if let [Piece::Code(code)] = pieces {
        return to_edit(code, 0, false);
    }
    let mut text = String::new();
    if pieces.iter().all(|piece| match piece {
        Piece::Literal(literal) => {
            text.push_str(literal);
            true
        }
        Piece::Code(_) => false,
    }) {
        return Expression::from(text);
    }
    let mut template = StringTemplate::new();
    for piece in pieces {
        template.push(match piece {
            Piece::Literal(literal) => Element::from(literal.as_str()),
            Piece::Code(code) => interpolation(code),
        });
    }
    Expression::StringTemplate(template)
}

/// Whether a text can be an object's key without quotes.
fn is_identifier(text: &str) -> bool {
    let mut characters = text.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|next| next.is_ascii_alphanumeric() || next == '_')
        && !["null", "true", "false", "for"].contains(&text)
}

fn key(text: &[Piece]) -> ObjectKey {
    match text {
        [Piece::Literal(literal)] if is_identifier(literal) => {
            ObjectKey::Ident(Decorated::new(Ident::new(literal)))
        }
        [Piece::Code(code)] => {
            // An expression that is a key stands in parentheses; as a template it needs none.
            let mut template = StringTemplate::new();
            template.push(interpolation(code));
            ObjectKey::Expression(Expression::StringTemplate(template))
        }
        _ => ObjectKey::Expression(pieces(text)),
    }
}

/// A key as it is written.
fn key_text(text: &[Piece]) -> String {
    match key(text) {
        ObjectKey::Ident(ident) => ident.as_str().to_owned(),
        ObjectKey::Expression(expression) => expression.to_string().trim().to_owned(),
    }
}

/// Puts an expression into the library's tree; `broken` over several lines, of which the first is at `level`.
fn to_edit(expr: &Expr, level: usize, broken: bool) -> Expression {
    let inner = format!("\n{}", "  ".repeat(level + 1));
    let outer = format!("\n{}", "  ".repeat(level));
    match expr {
        Expr::Null => Expression::null(),
        Expr::Bool(value) => Expression::from(*value),
        // JSON's numbers are HCL's.
        Expr::Number(number) => number
            .to_string()
            .parse()
            .unwrap_or_else(|_| Expression::null()),
        Expr::Text(text) => pieces(text),
        Expr::Code(code) => match code.parse() {
            Ok(expression) => expression,
            Err(_) => Expression::from(code.as_str()),
        },
        Expr::List(items) if broken && !items.is_empty() => {
            let mut array = Array::new();
            for item in items {
                let flat = item
                    .flat_len()
                    .is_some_and(|length| 2 * level + 3 + length <= WIDTH);
                let mut item = to_edit(item, level + 1, !flat);
                item.decor_mut().set_prefix(inner.as_str());
                array.push(item);
            }
            array.set_trailing_comma(true);
            array.set_trailing(outer);
            array.into()
        }
        Expr::List(items) => {
            let mut array = Array::new();
            for item in items {
                array.push(to_edit(item, level, false));
            }
            array.into()
        }
        Expr::Object(entries) if broken => {
            let flat: Vec<bool> = entries
                .iter()
                .map(|(name, value)| is_flat(value, level + 1, key_text(name).chars().count()))
                .collect();
            let keys: Vec<String> = entries.iter().map(|(name, _)| key_text(name)).collect();
            let columns = columns(
                &keys
                    .iter()
                    .zip(&flat)
                    .zip(entries)
                    .map(|((key, flat), (_, value))| {
                        (key.chars().count(), *flat, matches!(value, Expr::Noted(..)))
                    })
                    .collect::<Vec<_>>(),
            );
            let mut object = Object::new();
            for (((name, value), flat), (text, column)) in
                entries.iter().zip(flat).zip(keys.iter().zip(columns))
            {
                let mut name = key(name);
                let comment = match value {
                    Expr::Noted(note, _) => format!("{inner}# {note}"),
                    _ => String::new(),
                };
                name.decor_mut().set_prefix(format!("{comment}{inner}"));
                name.decor_mut()
                    .set_suffix(" ".repeat(column - text.chars().count() + 1));
                let mut value = to_edit(value, level + 1, !flat);
                value.decor_mut().set_prefix(" ");
                let mut value = ObjectValue::new(value);
                value.set_terminator(ObjectValueTerminator::None);
                object.insert(name, value);
            }
            if !entries.is_empty() {
                object.set_trailing(outer);
            }
            object.into()
        }
        Expr::Object(entries) => {
            let mut object = Object::new();
            for (index, (name, value)) in entries.iter().enumerate() {
                let mut name = key(name);
                name.decor_mut().set_prefix(" ");
                name.decor_mut().set_suffix(" ");
                let mut value = to_edit(value, level, false);
                value.decor_mut().set_prefix(" ");
                let mut value = ObjectValue::new(value);
                value.set_terminator(if index + 1 < entries.len() {
                    ObjectValueTerminator::Comma
                } else {
                    ObjectValueTerminator::None
                });
                object.insert(name, value);
            }
            if !entries.is_empty() {
                object.set_trailing(" ");
            }
            object.into()
        }
        Expr::Call(name, arguments) if broken && !hugs(name, arguments) => {
            let mut edited = FuncArgs::new();
            for argument in arguments {
                let flat = argument
                    .flat_len()
                    .is_some_and(|length| 2 * level + 3 + length <= WIDTH);
                let mut argument = to_edit(argument, level + 1, !flat && can_break(argument));
                argument.decor_mut().set_prefix(inner.as_str());
                edited.push(argument);
            }
            edited.set_trailing_comma(true);
            edited.set_trailing(outer);
            FuncCall::new(Ident::new(*name), edited).into()
        }
        Expr::Call(name, arguments) => {
            let mut edited = FuncArgs::new();
            for (index, argument) in arguments.iter().enumerate() {
                let last = index + 1 == arguments.len();
                let mut argument = to_edit(argument, level, broken && last && can_break(argument));
                if index > 0 {
                    argument.decor_mut().set_prefix(" ");
                }
                edited.push(argument);
            }
            FuncCall::new(Ident::new(*name), edited).into()
        }
        Expr::If(test, then, otherwise) => {
            let mut test = to_edit(test, level, false);
            test.decor_mut().set_suffix(" ");
            let mut then = to_edit(then, level, broken && can_break(then));
            then.decor_mut().set_prefix(" ");
            then.decor_mut().set_suffix(" ");
            let mut otherwise = to_edit(otherwise, level, false);
            otherwise.decor_mut().set_prefix(" ");
            Conditional::new(test, then, otherwise).into()
        }
        Expr::Noted(_, value) => to_edit(value, level, broken),
        Expr::Heredoc(text) => {
            let mut template = Template::new();
            for piece in text {
                template.push(match piece {
                    Piece::Literal(literal) => Element::from(literal.as_str()),
                    Piece::Code(code) => interpolation(code),
                });
            }
            HeredocTemplate::new(Ident::new("EOT"), template).into()
        }
        Expr::Each(list, each) => {
            let mut list = to_edit(list, level, false);
            list.decor_mut().set_prefix(" ");
            list.decor_mut().set_suffix(" ");
            let mut each = to_edit(each, level, false);
            each.decor_mut().set_prefix(" ");
            ForExpr::new(ForIntro::new(spaced("item"), list), each).into()
        }
        Expr::Index(of, index) => {
            let index = Expression::from(*index as u64);
            Traversal::new(
                to_edit(of, level, false),
                vec![TraversalOperator::Index(index).into()],
            )
            .into()
        }
        Expr::TagList(map, key_name, value_name) => {
            let mut map = to_edit(map, level, broken && can_break(map));
            map.decor_mut().set_prefix(" ");
            map.decor_mut().set_suffix(" ");
            let mut intro = ForIntro::new(spaced("value"), map);
            intro.key_var = Some({
                let mut key = Decorated::new(Ident::new("key"));
                key.decor_mut().set_prefix(" ");
                key
            });
            let pair = Expr::object([
                (*key_name, Expr::code("key")),
                (*value_name, Expr::code("value")),
            ]);
            let mut pair = to_edit(&pair, level, false);
            pair.decor_mut().set_prefix(" ");
            ForExpr::new(intro, pair).into()
        }
    }
}

/// Whether only its last argument is broken, with the brackets of both in one line.
fn hugs(name: &str, arguments: &[Expr]) -> bool {
    let before = arguments.len().saturating_sub(1);
    name != "concat" && arguments[..before].iter().all(Expr::may_be_flat)
}

fn spaced(name: &str) -> Decorated<Ident> {
    let mut ident = Decorated::new(Ident::new(name));
    ident.decor_mut().set_prefix(" ");
    ident.decor_mut().set_suffix(" ");
    ident
}
