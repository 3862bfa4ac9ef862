//! Answers of a service as bytes: JSON, NDJSON, CSV and Arrow.

use crate::value::{to_json, to_text};
use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::writer::StreamWriter;
use serde_json::{Map, Value};

/// The form of rows in an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Encoding {
    /// One JSON document.
    #[default]
    Json,
    /// A JSON object per line.
    NdJson,
    /// RFC 4180, with a header line.
    Csv,
    /// The Arrow IPC stream format.
    Arrow,
}

impl Encoding {
    /// All of them, each with the name by which a client asks for it and with its media type.
    pub const ALL: [(Self, &str, &str); 4] = [
        (Self::Json, "json", "application/json"),
        (Self::NdJson, "ndjson", "application/x-ndjson"),
        (Self::Csv, "csv", "text/csv"),
        (Self::Arrow, "arrow", "application/vnd.apache.arrow.stream"),
    ];

    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        Self::ALL.iter().find(|(encoding, ..)| *encoding == self).map_or("application/json", |(.., media)| media)
    }
}

/// Rows as JSON objects.
#[must_use]
pub fn objects(batches: &[RecordBatch]) -> Vec<Value> {
    let mut objects = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for batch in batches {
        let schema = batch.schema();
        objects.extend((0..batch.num_rows()).map(|row| Value::Object(object(&schema, batch.columns(), row))));
    }
    objects
}

/// Rows in any encoding but [`Encoding::Json`], which has them inside of a document; that is then an array of rows.
pub fn encode(encoding: Encoding, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let mut out = Vec::new();
    match encoding {
        Encoding::Json => out = Value::Array(objects(batches)).to_string().into_bytes(),
        Encoding::NdJson => {
            for batch in batches {
                for row in 0..batch.num_rows() {
                    out.extend(Value::Object(object(schema, batch.columns(), row)).to_string().into_bytes());
                    out.push(b'\n');
                }
            }
        }
        Encoding::Csv => {
            let told = |error: csv::Error| ArrowError::CsvError(error.to_string());
            let mut writer = csv::Writer::from_writer(&mut out);
            writer.write_record(schema.fields().iter().map(|field| field.name())).map_err(told)?;
            for batch in batches {
                for row in 0..batch.num_rows() {
                    writer.write_record(batch.columns().iter().map(|column| to_text(column, row))).map_err(told)?;
                }
            }
            writer.flush().map_err(|error| ArrowError::CsvError(error.to_string()))?;
            drop(writer);
        }
        Encoding::Arrow => {
            let mut writer = StreamWriter::try_new(&mut out, schema)?;
            batches.iter().try_for_each(|batch| writer.write(batch))?;
            writer.finish()?;
        }
    }
    Ok(out)
}

fn object(schema: &Schema, columns: &[ArrayRef], row: usize) -> Map<String, Value> {
    let fields = schema.fields().iter().zip(columns);
    fields.map(|(field, column)| (field.name().clone(), to_json(column, row))).collect()
}
