//! `[source]`: where events come from, and `[source.read]`: how they are read.

use super::paths::beside;
use super::section::Section;
use std::fmt;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use tidemark_connectors::source::kafka::KafkaSourceSettings;
use tidemark_connectors::source::{GenerateSourceSettings, ReadSettings};

/// `[source]`.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// From where.
    pub kind: SourceKind,
    /// How; decides nothing about what is read.
    pub read: ReadSettings,
}

/// The kinds of sources.
#[derive(Clone, PartialEq, Debug)]
pub enum SourceKind {
    /// Files of one JSON document per line.
    File(FileSettings),
    /// Standard input, one JSON document per line.
    Stdin,
    /// Generated events.
    Generate(Box<GenerateSourceSettings>),
    /// Topics of a Kafka cluster.
    Kafka(Box<KafkaSourceSettings>),
}

/// `kind = "file"`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FileSettings {
    /// A file, plain, gzip or zstd; or a folder, each file of which is a partition. `None`: not said yet.
    pub path: Option<PathBuf>,
    /// Whether to wait for more at the end, for ever.
    pub follow: bool,
}

impl SourceSettings {
    /// `environment` looks variables up that secrets come from; files with secrets are beside `config_file`.
    pub(super) fn read(
        mut section: Section<'_>,
        config_file: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        #[derive(Clone, Copy)]
        enum Kind {
            File,
            Stdin,
            Generate,
            Kafka,
        }
        const KINDS: [(&str, Kind); 4] =
            [("file", Kind::File), ("stdin", Kind::Stdin), ("generate", Kind::Generate), ("kafka", Kind::Kafka)];
        section.require("kind", "\"file\"");
        let read = read_settings(section.section("read"));
        let kind = match section.choice("kind", &KINDS) {
            Some(Kind::File) => {
                let path = section.text("path").map(PathBuf::from);
                SourceKind::File(FileSettings { path, follow: section.boolean("follow").unwrap_or(false) })
            }
            Some(Kind::Stdin) => SourceKind::Stdin,
            Some(Kind::Generate) => {
                let says_events = section.field("generator").is_some_and(|generator| generator.get("events").is_some());
                let mut settings: GenerateSourceSettings = section.rest();
                if settings.paced_per_second.is_some() && !says_events {
                    // What keeps to a clock goes on for ever; the default is for files.
                    settings.generator.events = None;
                }
                section.mistakes(settings.mistakes());
                SourceKind::Generate(Box::new(settings))
            }
            Some(Kind::Kafka) => {
                let mut settings: KafkaSourceSettings = section.rest();
                settings.properties.files_beside(&beside(config_file, ""));
                section.mistakes(settings.mistakes());
                section.mistakes(settings.properties.missing("properties", environment));
                SourceKind::Kafka(Box::new(settings))
            }
            // Without a known kind no other field can be judged.
            None => return Self { kind: SourceKind::Stdin, read },
        };
        section.finish();
        Self { kind, read }
    }

    /// Reads `input` instead of what was configured; `-` is standard input.
    pub fn read_from(&mut self, input: PathBuf) {
        if input == Path::new("-") {
            self.kind = SourceKind::Stdin;
            return;
        }
        let follow = matches!(&self.kind, SourceKind::File(file) if file.follow);
        self.kind = SourceKind::File(FileSettings { path: Some(input), follow });
    }

    /// Whether it is said where events come from.
    #[must_use]
    pub fn has_input(&self) -> bool {
        !matches!(&self.kind, SourceKind::File(FileSettings { path: None, .. }))
    }

    /// Whether the source ends by itself.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        match &self.kind {
            SourceKind::File(settings) => !settings.follow,
            SourceKind::Stdin => true,
            SourceKind::Generate(settings) => settings.paced_per_second.is_none(),
            SourceKind::Kafka(settings) => settings.until.is_some(),
        }
    }

    /// The file or folder to read, where it does not exist.
    #[must_use]
    pub fn missing_input(&self) -> Option<&Path> {
        match &self.kind {
            SourceKind::File(FileSettings { path: Some(path), .. }) if !path.exists() => Some(path),
            _ => None,
        }
    }
}

fn read_settings(mut section: Section<'_>) -> ReadSettings {
    let says_decoders = section.has("decoders");
    let mut read: ReadSettings = section.rest();
    section.mistakes(read.mistakes());
    if !says_decoders {
        read.decoders = default_decoders();
    }
    read
}

/// One decoding thread per core, since decoding is most of the work; none on a single core, where a second thread only
/// takes time from the first.
fn default_decoders() -> usize {
    match std::thread::available_parallelism().map_or(1, NonZero::get) {
        1 => 0,
        cores => cores.min(ReadSettings::MAX_DECODERS),
    }
}

impl fmt::Display for SourceSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            SourceKind::File(FileSettings { path: Some(path), follow }) => {
                write!(f, "file {}{}", path.display(), if *follow { ", followed" } else { "" })
            }
            SourceKind::File(_) => f.write_str("file"),
            SourceKind::Stdin => f.write_str("standard input"),
            SourceKind::Generate(_) => f.write_str("generated events"),
            SourceKind::Kafka(kafka) => {
                write!(f, "topics {} of the Kafka cluster at {}", kafka.topics.join(", "), kafka.brokers.join(", "))
            }
        }
    }
}
