//! `[lineage]`: whom the job tells where its rows come from. Off unless the table is there.

use super::http::Secret;
use super::section::Section;
use std::path::PathBuf;
use std::time::Duration;
use url::{Host, Url};

/// `[lineage]`.
#[derive(Clone, Debug)]
pub struct LineageSettings {
    /// Where events go.
    pub to: LineageTarget,
    /// The namespace of the job, in which its name is unique.
    pub namespace: String,
    /// Time between two events of a job that runs.
    pub interval: Duration,
    /// The bearer token that an HTTP endpoint wants.
    pub token: Option<Secret>,
}

/// Where events go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LineageTarget {
    /// To the end of this file, one JSON object per line.
    File(PathBuf),
    /// To this endpoint, each with a POST.
    Http(Url),
}

impl LineageSettings {
    /// `environment` looks a variable up, for `token_env`.
    pub(super) fn read(mut section: Section<'_>, environment: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        if !section.present() {
            return None;
        }
        let url = section.required_text("url", "\"file:///var/log/tidemark/lineage.ndjson\"");
        let namespace = section.text("namespace").unwrap_or_else(|| "tidemark".to_owned());
        let interval_s = section.integer_or("interval_s", 1..=86_400, 60);
        let variable = section.text("token_env");
        let token = variable.and_then(|name| {
            let secret = environment(&name).ok_or_else(|| format!("the environment has no variable {name}: set it"));
            secret.and_then(|text| Secret::new(&text)).map_err(|message| section.mistake("token_env", message)).ok()
        });
        let target = parse(&url).and_then(|target| match &target {
            LineageTarget::Http(url) if token.is_some() && is_readable_by_others(url) => {
                Err("would send the token in the clear: use https://".to_owned())
            }
            _ => Ok(target),
        });
        let target = target.map_err(|message| {
            if !url.is_empty() {
                section.mistake("url", message);
            }
        });
        section.finish();
        let interval = Duration::from_secs(interval_s.unsigned_abs());
        Some(Self { to: target.ok()?, namespace, interval, token })
    }
}

fn parse(text: &str) -> Result<LineageTarget, String> {
    let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    match url.scheme() {
        "file" => match url.to_file_path() {
            Ok(path) if !text.ends_with('/') => Ok(LineageTarget::File(path)),
            _ => Err("must name a file of this machine by its whole path: file:///folder/lineage.ndjson".to_owned()),
        },
        "http" | "https" if !url.username().is_empty() || url.password().is_some() => {
            // Not shown: it has a secret in it.
            Err("must hold no credentials: name the variable of a token in `token_env`".to_owned())
        }
        "http" | "https" => Ok(LineageTarget::Http(url)),
        other => Err(format!("begins with {other}: write file://, https:// or http://")),
    }
}

/// Whether what is sent there can be read on the way.
fn is_readable_by_others(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && !is_loopback
}

#[cfg(test)]
mod tests {
    use crate::config::Draft;
    use crate::config::lineage::LineageTarget;
    use crate::config::overrides::Overrides;
    use std::path::Path;

    fn draft(lineage: &str) -> Draft {
        let text = format!("[source]\nkind = \"stdin\"\n{lineage}");
        let environment = |name: &str| (name == "T").then(|| "0123456789abcdef".to_owned());
        Draft::parse(Path::new("t.toml"), &text, &environment, &Overrides::default())
    }

    #[test]
    fn is_off_unless_the_table_is_there() {
        assert!(draft("").into_config().expect("sound").lineage.is_none());
        let config = draft("[lineage]\nurl = \"file:///tmp/a.ndjson\"\n").into_config().expect("sound");
        let lineage = config.lineage.expect("it is there");
        assert_eq!(lineage.to, LineageTarget::File("/tmp/a.ndjson".into()));
        assert_eq!(lineage.namespace, "tidemark");
    }

    #[test]
    fn a_token_goes_over_tls_or_stays_on_this_machine() {
        let with = |url: &str| draft(&format!("[lineage]\nurl = \"{url}\"\ntoken_env = \"T\"\n"));
        for sound in ["https://host/api/v1/lineage", "http://127.0.0.1:5000/x", "http://localhost/x"] {
            with(sound).into_config().expect(sound);
        }
        let report = with("http://host/x").into_config().expect_err("in the clear").to_string();
        assert!(report.contains("lineage.url: would send the token in the clear"), "{report}");
    }

    #[test]
    fn mistakes_are_told_without_secrets() {
        for (url, words) in [
            ("", "lineage.url"),
            ("host", "is no URL"),
            ("file:///tmp/", "must name a file"),
            ("kafka://x", "begins with kafka"),
            ("https://me:mine@host/x", "no credentials"),
        ] {
            let report = draft(&format!("[lineage]\nurl = \"{url}\"\n")).into_config().expect_err(url).to_string();
            assert!(report.contains(words) && !report.contains("mine"), "{report}");
        }
    }
}
