//! `tidemark module inspect`.

use crate::describe;
use crate::exit::Failure;
use std::path::Path;
use tidemark_engine::descriptor::Descriptor;
use tidemark_wasm_host::{Host, HostSettings};

/// What every module exports: admission has checked the types.
const EXPORTS: &str = "tidemark:metric/metric@1.0.0 (describe, configure, update, close, merge, migrate)";

/// Shows what `file` is, or why it is refused.
pub fn inspect(file: &Path) -> Result<(), Failure> {
    let bytes =
        std::fs::read(file).map_err(|error| Failure::Usage(format!("cannot read {}: {error}", file.display())))?;
    let host = Host::new(HostSettings { instances: 8, ..HostSettings::default() }).map_err(Failure::failed)?;
    let module = host.load(&bytes);
    let module = module.map_err(|error| Failure::Failed(anyhow::anyhow!("{} is refused: {error}", file.display())))?;
    println!("file      {}", file.display());
    println!("size      {} bytes", bytes.len());
    println!("digest    sha256:{}", module.digest());
    println!("imports   none");
    println!("exports   {EXPORTS}");
    print(module.descriptor());
    Ok(())
}

fn print(descriptor: &Descriptor) {
    println!("metric    {} {}", descriptor.name, descriptor.version);
    if !descriptor.doc.is_empty() {
        println!("          {}", descriptor.doc);
    }
    println!("key       {}", descriptor.key);
    println!("window    {}", describe::window(&descriptor.window));
    println!("filter    {}", describe::filter(&descriptor.filter));
    println!("state     {}", describe::state(descriptor));
    println!("\ninput");
    let inputs = descriptor.inputs.iter().map(|input| {
        let side = input.side.map_or("", |side| describe::side(side));
        vec![input.name.clone(), describe::column_type(input.kind).to_owned(), input.path.clone(), side.to_owned()]
    });
    print_columns(inputs.collect());
    println!("\noutput");
    let output = descriptor.output.iter().map(|column| {
        let nullable = if column.nullable { "may be null" } else { "" };
        vec![column.name.clone(), describe::column_type(column.kind).to_owned(), nullable.to_owned()]
    });
    print_columns(output.collect());
    if !descriptor.config_schema.is_null() {
        println!("\nconfig schema\n{:#}", descriptor.config_schema);
    }
}

fn print_columns(rows: Vec<Vec<String>>) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> =
        (0..columns).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        println!("  {}", cells.join("  ").trim_end());
    }
}
