//! A stream, checked against its table's real columns and compiled: every name is resolved once, here.

use uuid::Uuid;

use crate::definition::{ColumnDeclaration, Location};
use crate::diagnostic::closest;
use crate::event;
use crate::literal::literal;
use crate::plan::{FieldPlan, LINEAGE_COLUMNS, Lookup, Plan};
use crate::{ColumnSource, ColumnType, Diagnostic, Format, OnMessage, Stream, StreamsError, TableSchema};

/// A compiled stream: what [`Mapping::map`](crate::Mapping::map) follows for every change.
#[derive(Debug)]
pub struct Mapping {
    pub(crate) stream: String,
    pub(crate) schema: String,
    pub(crate) table: String,
    pub(crate) key: Vec<Lookup>,
    pub(crate) plans: Vec<Plan>,
    pub(crate) on_truncate: OnMessage,
    pub(crate) on_message: OnMessage,
    pub(crate) format: Format,
    columns: Vec<(String, ColumnType)>,
    fingerprint: u64,
}

impl Mapping {
    /// Checks a stream against the table and compiles it.
    ///
    /// # Errors
    /// Every finding: columns that one side lacks, literals and types that do not fit, lineage columns that are
    /// missing or of another type.
    pub fn compile(stream: &Stream, table: &TableSchema) -> Result<Self, StreamsError> {
        let mut compiler =
            Compiler { stream, table, findings: Vec::new(), columns: Vec::new(), plans: Vec::new() };
        for (name, declaration) in &stream.columns {
            compiler.declared(name, declaration);
        }
        for name in LINEAGE_COLUMNS {
            compiler.lineage(name);
        }
        compiler.unfilled();
        if !compiler.findings.is_empty() {
            return Err(StreamsError(compiler.findings));
        }
        let (schema, table) = stream.source.split_once('.').unwrap_or(("public", &stream.source));
        let fingerprint = fingerprint(stream, &compiler.columns);
        Ok(Self {
            fingerprint,
            stream: stream.name.clone(),
            schema: schema.to_owned(),
            table: table.to_owned(),
            key: stream.key.iter().map(|name| Lookup::new(name)).collect(),
            on_truncate: stream.on_truncate,
            on_message: stream.on_message,
            format: stream.format,
            columns: compiler.columns,
            plans: compiler.plans,
        })
    }

    /// The name of the stream.
    #[must_use]
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// What the topic's messages are.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// A digest of everything that decides which rows a message becomes: the same as long as the mapping is.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Name and type of the columns that a row's cells stand for, in order: the declared ones, whose values are the
    /// row's state, then those of [`LINEAGE_COLUMNS`] in their order. Sinks rely on it.
    #[must_use]
    pub fn columns(&self) -> &[(String, ColumnType)] {
        &self.columns
    }
}

fn fingerprint(stream: &Stream, columns: &[(String, ColumnType)]) -> u64 {
    let sources: Vec<_> =
        stream.columns.iter().map(|(name, declaration)| (name, &declaration.source)).collect();
    let text = format!("{} {:?} {:?} {sources:?} {columns:?}", stream.source, stream.key, stream.format);
    Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).as_u64_pair().0
}

struct Compiler<'s> {
    stream: &'s Stream,
    table: &'s TableSchema,
    findings: Vec<Diagnostic>,
    columns: Vec<(String, ColumnType)>,
    plans: Vec<Plan>,
}

impl Compiler<'_> {
    fn find(&mut self, line: usize, column: &str, problem: String, cure: String) {
        let Location { file, .. } = self.stream.location.clone();
        let key = format!("streams.{}.columns.{column}", self.stream.name);
        self.findings.push(Diagnostic { file, line, key, problem, cure });
    }

    fn declared(&mut self, name: &str, declaration: &ColumnDeclaration) {
        let Some(column) = self.table.column(name) else {
            let known = self.table.columns.iter().map(|column| column.name.as_str());
            let cure = match closest(name, known) {
                Some(similar) => format!("did you mean `{similar}`?"),
                None => "add the column to the table, or take it out of the stream".to_owned(),
            };
            let problem = format!("table `{}` has no such column", self.table.name);
            return self.find(declaration.line, name, problem, cure);
        };
        let column_type = column.column_type.clone();
        let plan = match &declaration.source {
            ColumnSource::Value(value) => literal(value, &column_type).map(Plan::Constant),
            ColumnSource::Field(source)
                if self.stream.format == Format::Envelope && source.field == event::TIME =>
            {
                event::time(&column_type)
            }
            ColumnSource::Field(source)
                if self.stream.format == Format::Envelope && !event::fits(&source.field, &column_type) =>
            {
                Err(format!("an event's `{}` does not fit {column_type}", source.field))
            }
            ColumnSource::Field(source) => {
                let default = source.default.as_ref().map(|value| literal(value, &column_type)).transpose();
                default.map(|default| {
                    Plan::Field(FieldPlan {
                        source: source.clone(),
                        lookup: Lookup::new(&source.field),
                        column: name.to_owned(),
                        column_type: column_type.clone(),
                        default,
                    })
                })
            }
        };
        match plan {
            Ok(plan) => {
                self.columns.push((name.to_owned(), column_type));
                self.plans.push(plan);
            }
            Err(problem) => {
                self.find(
                    declaration.line,
                    name,
                    problem,
                    "correct the literal or the column's type".to_owned(),
                );
            }
        }
    }

    fn lineage(&mut self, name: &str) {
        let Some((plan, expected)) = Plan::lineage(name) else { return };
        let found = self.table.column(name).map(|column| &column.column_type);
        if found == Some(&expected) {
            self.columns.push((name.to_owned(), expected));
            self.plans.push(plan);
            return;
        }
        let problem = match found {
            Some(found) => format!("table `{}` has it as {found}", self.table.name),
            None => format!("table `{}` lacks this lineage column", self.table.name),
        };
        let cure =
            format!("every event table carries `{name} {expected}`; `nova migrate` makes tables that do");
        self.find(self.stream.location.line, name, problem, cure);
    }

    /// A column that nobody fills and that has no default would get a made-up value: refused.
    fn unfilled(&mut self) {
        let unfilled: Vec<String> = self
            .table
            .columns
            .iter()
            .filter(|column| !column.has_default)
            .map(|column| &column.name)
            .filter(|name| {
                !self.stream.columns.contains_key(*name) && !LINEAGE_COLUMNS.contains(&name.as_str())
            })
            .cloned()
            .collect();
        for name in unfilled {
            let problem =
                format!("table `{}` has this column and the stream does not fill it", self.table.name);
            let cure = "map it, or give the column a DEFAULT".to_owned();
            self.find(self.stream.location.line, &name, problem, cure);
        }
    }
}
