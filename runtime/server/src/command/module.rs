//! `tidemark module`: looking at files, and at the modules of a running job.

use super::environment;
use crate::catalogue;
use crate::cli::ModuleCommand;
use crate::client::{Client, JSON};
use crate::config::Draft;
use crate::config::overrides::Overrides;
use crate::describe;
use crate::exit::Failure;
use hyper::Method;
use hyper::body::Bytes;
use serde_json::Value;
use std::path::Path;
use tidemark_engine::descriptor::Descriptor;
use tidemark_sql_metric::{Explanation, SqlMetric};
use tidemark_wasm_host::{Host, HostSettings};

/// What every module exports: admission has checked the types.
const EXPORTS: &str = "tidemark:metric/metric@1.0.0 (describe, configure, update, close, merge, migrate)";

/// Carries out one of the commands.
pub fn execute(command: &ModuleCommand) -> Result<(), Failure> {
    match command {
        ModuleCommand::Test(arguments) => super::test::execute(arguments),
        ModuleCommand::Inspect { file } => inspect(file),
        ModuleCommand::Push(arguments) => super::push::execute(arguments),
        ModuleCommand::Pull { reference, signature, server } => {
            super::push::pull(&Client::new(server)?, reference, signature.as_deref())
        }
        ModuleCommand::List { server } => {
            let modules = Client::new(server)?.get("/api/v1/modules")?;
            for module in modules["modules"].as_array().into_iter().flatten() {
                let text = |field: &str| module[field].as_str().unwrap_or_default().to_owned();
                let metrics = module["metrics"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let metrics: Vec<&str> = metrics.collect();
                println!(
                    "sha256:{} {:>10} {:9} {}",
                    text("digest"),
                    module["bytes"],
                    text("status"),
                    metrics.join(", ")
                );
            }
            Ok(())
        }
        ModuleCommand::Show { digest, server } => {
            let module = Client::new(server)?.get(&path_of(digest))?;
            println!("{module:#}");
            Ok(())
        }
        ModuleCommand::Remove { digest, server } => {
            Client::new(server)?.done(Method::DELETE, &path_of(digest), Bytes::new(), JSON)?;
            Ok(())
        }
    }
}

pub(super) fn path_of(digest: &str) -> String {
    format!("/api/v1/modules/{}", digest.trim_start_matches("sha256:"))
}

/// Shows what `file` is, or why it is refused.
pub fn inspect(file: &Path) -> Result<(), Failure> {
    if file.extension().is_some_and(|extension| extension == "toml") {
        return inspect_statements(file);
    }
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

/// Shows what the SQL metrics of a configuration have become.
fn inspect_statements(file: &Path) -> Result<(), Failure> {
    let mut draft = Draft::read(file, &environment, &Overrides::default())?;
    let host = Host::new(HostSettings { instances: 8, ..HostSettings::default() }).map_err(Failure::failed)?;
    let mut metrics = Vec::new();
    for (_, planned) in catalogue::statements(draft.config(), draft.document(), &host) {
        match planned {
            Ok(metric) => metrics.push(metric),
            Err(mistakes) => draft.add(mistakes),
        }
    }
    draft.into_config()?;
    if metrics.is_empty() {
        println!("{} has no metrics with `kind = \"sql\"`", file.display());
    }
    for (place, metric) in metrics.iter().enumerate() {
        if place > 0 {
            println!();
        }
        print_statement(metric);
    }
    Ok(())
}

fn print_statement(metric: &SqlMetric) {
    println!("digest    sha256:{}", metric.digest());
    println!("of        {}", metric.canonical());
    print(metric.descriptor());
    let Explanation { condition, keeps, having, columns } = metric.explain();
    println!("\nrows");
    let asked = condition.map(|condition| vec!["where".to_owned(), condition]);
    let kept = keeps.into_iter().map(|kept| vec!["keep".to_owned(), kept]);
    let having = having.map(|having| vec!["having".to_owned(), having]);
    let columns =
        columns.into_iter().map(|(name, expression)| vec!["emit".to_owned(), format!("{name} = {expression}")]);
    print_columns(asked.into_iter().chain(kept).chain(having).chain(columns).collect());
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
