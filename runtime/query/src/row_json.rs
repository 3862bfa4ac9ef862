//! `row_json`: the columns of a metric as one JSON object per row.

use crate::value::to_json;
use datafusion::arrow::array::{ArrayRef, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use std::sync::Arc;

/// The function for columns of these names, in the order of its arguments.
pub(super) fn row_json(names: Vec<String>) -> ScalarUDF {
    let takes = if names.is_empty() { TypeSignature::Nullary } else { TypeSignature::VariadicAny };
    ScalarUDF::new_from_impl(RowJson { names, signature: Signature::new(takes, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct RowJson {
    names: Vec<String>,
    signature: Signature,
}

impl ScalarUDFImpl for RowJson {
    fn name(&self) -> &str {
        "row_json"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let columns = ColumnarValue::values_to_arrays(&arguments.args)?;
        let mut texts = StringBuilder::with_capacity(rows, rows * 64);
        for row in 0..rows {
            let fields = self.names.iter().zip(&columns).map(|(name, column)| (name.clone(), to_json(column, row)));
            let object = serde_json::Value::Object(fields.collect());
            texts.append_value(object.to_string());
        }
        let texts: ArrayRef = Arc::new(texts.finish());
        Ok(ColumnarValue::Array(texts))
    }
}
