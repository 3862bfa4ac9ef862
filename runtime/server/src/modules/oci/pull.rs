//! Fetching an artifact: within bounds, each part checked against the digest by which it was asked for.

use super::challenge::Challenge;
use super::manifest::{self, Layer};
use super::{Credentials, OciRegistry, Reference, is_loopback};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, header, redirect};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use tidemark_connectors::module_store::{ModuleStoreError, Upload};

/// How long it may take to be connected, and until more bytes come.
const CONNECTED_WITHIN: Duration = Duration::from_secs(10);
const MORE_WITHIN: Duration = Duration::from_secs(20);

/// How often a registry may say that it is elsewhere.
const REDIRECTS: usize = 4;

/// Most bytes of the answer of who gives tokens.
const TOKEN_BYTES: usize = 64 << 10;

/// Why nothing is pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The job's file does not name the registry.
    #[error("modules do not come from {0}: name it in the job's file, [[modules.registry]] host = \"{0}\"")]
    NotNamed(String),
    /// It wants to know who asks.
    #[error("{0}")]
    Denied(String),
    /// It does not have it.
    #[error("{0} is not there: push it first, and name the digest of its manifest")]
    Missing(Reference),
    /// What it has is not a component.
    #[error("{reference}: {reason}")]
    Unfit {
        /// What was asked for.
        reference: Reference,
        /// Why it is none.
        reason: String,
    },
    /// It does not answer as it should.
    #[error("{registry}: {reason}")]
    Unreachable {
        /// Who.
        registry: String,
        /// What happened.
        reason: String,
    },
    /// What came cannot be stored.
    #[error(transparent)]
    Store(#[from] ModuleStoreError),
}

/// Fetches the component that `reference` names into `upload`, which takes `most_bytes`.
pub async fn pull(
    registries: &[OciRegistry],
    reference: &Reference,
    mut upload: Upload,
    most_bytes: u64,
) -> Result<Upload, PullError> {
    let registry = registries.iter().find(|registry| registry.host == reference.registry);
    let registry = registry.ok_or_else(|| PullError::NotNamed(reference.registry.clone()))?;
    let mut session = Session::new(registry, reference)?;
    let unfit = |reason: String| PullError::Unfit { reference: reference.clone(), reason };
    let manifest = session.manifest().await?;
    let layer = manifest::component(&manifest).map_err(unfit)?;
    if layer.bytes > most_bytes {
        return Err(ModuleStoreError::TooLarge { limit: most_bytes }.into());
    }
    session.layer(layer, &mut upload).await?;
    Ok(upload)
}

/// Questions about one artifact.
struct Session<'a> {
    client: Client,
    registry: &'a OciRegistry,
    reference: &'a Reference,
    /// Where the repository is.
    base: String,
    /// What the registry wants to see; found out with the first question.
    identity: Option<Identity>,
}

enum Identity {
    Basic(String, String),
    Bearer(String),
}

#[derive(Deserialize)]
struct Token {
    #[serde(alias = "access_token")]
    token: String,
}

impl<'a> Session<'a> {
    fn new(registry: &'a OciRegistry, reference: &'a Reference) -> Result<Self, PullError> {
        let is_here = is_loopback(&registry.host);
        let policy = redirect::Policy::custom(move |attempt| {
            let stays_secret =
                attempt.url().scheme() == "https" || is_here && attempt.url().host_str().is_some_and(is_loopback);
            match attempt.previous().len() {
                0..=REDIRECTS if stays_secret => attempt.follow(),
                _ => attempt.error("leads too far, or to where others could read and change it"),
            }
        });
        let builder = Client::builder().redirect(policy).connect_timeout(CONNECTED_WITHIN).read_timeout(MORE_WITHIN);
        let client = if is_here { builder.no_proxy() } else { builder }.build();
        let client = client.map_err(|error| unreachable_by(&registry.host, error))?;
        let scheme = if is_here { "http" } else { "https" };
        let base = format!("{scheme}://{}/v2/{}", registry.host, reference.repository);
        let identity = match &registry.credentials {
            Some(Credentials::Bearer(token)) => Some(Identity::Bearer(token.clone())),
            _ => None,
        };
        Ok(Self { client, registry, reference, base, identity })
    }

    /// The manifest, which has the digest that names the artifact.
    async fn manifest(&mut self) -> Result<Vec<u8>, PullError> {
        let digest = self.reference.digest;
        let answer = self.ask(&format!("manifests/sha256:{digest}"), manifest::MANIFEST).await?;
        let manifest = self.body(answer, manifest::MOST_BYTES, "the manifest").await?;
        match Sha256::digest(&manifest)[..] == digest.0 {
            true => Ok(manifest),
            false => {
                Err(self.unfit("what came has another digest: the registry, or who is before it, lies".to_owned()))
            }
        }
    }

    /// The component, piece by piece.
    async fn layer(&mut self, layer: Layer, upload: &mut Upload) -> Result<(), PullError> {
        let mut answer = self.ask(&format!("blobs/sha256:{}", layer.digest), "*/*").await?;
        let mut bytes = 0;
        while let Some(piece) = answer.chunk().await.map_err(|error| unreachable_by(&self.registry.host, error))? {
            bytes += piece.len() as u64;
            if bytes > layer.bytes {
                break;
            }
            upload.write(&piece)?;
        }
        if bytes != layer.bytes || upload.digest() != layer.digest {
            return Err(self.unfit("its layer is not what the manifest says: other bytes came".to_owned()));
        }
        Ok(())
    }

    /// Asks, and once more where the registry wants to know who does.
    async fn ask(&mut self, what: &str, accept: &str) -> Result<Response, PullError> {
        let mut answer = self.send(what, accept).await?;
        if answer.status() == StatusCode::UNAUTHORIZED && !matches!(self.identity, Some(Identity::Basic(..))) {
            let told = answer.headers().get_all(header::WWW_AUTHENTICATE).iter();
            let challenge = told.filter_map(|value| value.to_str().ok()).find_map(Challenge::parse);
            self.identity = Some(self.introduce(challenge).await?);
            answer = self.send(what, accept).await?;
        }
        match answer.status() {
            StatusCode::OK => Ok(answer),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.denied("refuses who asks")),
            StatusCode::NOT_FOUND => Err(PullError::Missing(self.reference.clone())),
            status => Err(self.unreachable(format!("it answers {status}"))),
        }
    }

    async fn send(&self, what: &str, accept: &str) -> Result<Response, PullError> {
        let request = self.client.get(format!("{}/{what}", self.base)).header(header::ACCEPT, accept);
        let request = match &self.identity {
            Some(Identity::Basic(user, password)) => request.basic_auth(user, Some(password)),
            Some(Identity::Bearer(token)) => request.bearer_auth(token),
            None => request,
        };
        self.answer(request).await
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Response, PullError> {
        request.send().await.map_err(|error| unreachable_by(&self.registry.host, error))
    }

    /// Becomes somebody whom the registry answers.
    async fn introduce(&self, challenge: Option<Challenge>) -> Result<Identity, PullError> {
        let known = match &self.registry.credentials {
            Some(Credentials::Bearer(_)) => return Err(self.denied("refuses the token")),
            Some(Credentials::Basic(user, password)) => Some((user.clone(), password.clone())),
            None => None,
        };
        match (challenge, known) {
            (Some(Challenge::Basic), Some((user, password))) => Ok(Identity::Basic(user, password)),
            (Some(Challenge::Bearer { realm, service }), known) => {
                self.token(&realm, service.as_deref(), known).await.map(Identity::Bearer)
            }
            (_, None) => Err(self.denied("wants to know who asks")),
            (None, Some(_)) => Err(self.denied("wants neither a password nor a token")),
        }
    }

    /// A token for this repository, of whom the registry names.
    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        known: Option<(String, String)>,
    ) -> Result<String, PullError> {
        let refused = || self.unreachable(format!("it names no sound place to get a token from: {realm}"));
        let mut url: Url = realm.parse().map_err(|_| refused())?;
        let is_here = is_loopback(&self.registry.host) && url.host_str().is_some_and(is_loopback);
        if url.scheme() != "https" && !is_here {
            return Err(refused());
        }
        url.query_pairs_mut().append_pair("scope", &format!("repository:{}:pull", self.reference.repository));
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        let request = self.client.get(url);
        let request = match known {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        };
        let answer = self.answer(request).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(self.denied("gives no token")),
            status => return Err(self.unreachable(format!("who gives its tokens answers {status}"))),
        }
        let body = self.body(answer, TOKEN_BYTES, "the token").await?;
        let token: Result<Token, _> = serde_json::from_slice(&body);
        Ok(token.map_err(|_| self.unreachable("who gives its tokens does not answer as it should".to_owned()))?.token)
    }

    /// The whole of a small answer.
    async fn body(&self, mut answer: Response, most_bytes: usize, what: &str) -> Result<Vec<u8>, PullError> {
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| unreachable_by(&self.registry.host, error))? {
            if body.len() + piece.len() > most_bytes {
                return Err(self.unfit(format!("{what} has more than {most_bytes} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    fn unfit(&self, reason: String) -> PullError {
        PullError::Unfit { reference: self.reference.clone(), reason }
    }

    fn unreachable(&self, reason: String) -> PullError {
        PullError::Unreachable { registry: self.registry.host.clone(), reason }
    }

    fn denied(&self, what: &str) -> PullError {
        PullError::Denied(format!(
            "the registry {} {what}: check user and password_env, or token_env, of its [[modules.registry]]",
            self.registry.host
        ))
    }
}

/// Without the address, whose query may hold a key.
fn unreachable_by(registry: &str, error: reqwest::Error) -> PullError {
    let reason = format!("{:#}", anyhow::Error::from(error.without_url()));
    PullError::Unreachable { registry: registry.to_owned(), reason }
}
