//! The files for browsers: wasm, scripts, styles, the icon. tower-http serves them from the site's directory and chooses between a
//! file and its compressed forms, `name.br` and `name.gz` beside it, made at build time.
//!
//! What is decided here is how long a browser keeps them. A URL with the right `?v=` never changes its content and is
//! kept forever; any other is revalidated with its `ETag`. Not by its date: files from the Nix store are all from 1970,
//! and an upgrade would not show.

use app::routes::assets as paths;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{self, HeaderMap, HeaderValue};
use http::{StatusCode, Uri};
use sha2::{Digest as _, Sha256};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tower_http::services::ServeDir;

/// Directories deeper than this are not read; the site has three levels.
const DEPTH_MAX: usize = 6;

/// Digits of the site's fingerprint: 48 bits tell one build from another.
const VERSION_DIGITS: usize = 12;

/// The site.
#[derive(Clone)]
pub struct Assets {
    files: ServeDir,
    version: Arc<str>,
    etag: HeaderValue,
}

/// Why there is no site to serve.
#[derive(Debug, thiserror::Error)]
#[error("{what} Build them with “cargo xtask build”, or set SNOWGLOBE_SITE to where they are.")]
pub struct NoSite {
    what: String,
    source: Option<io::Error>,
}

/// Whether a directory has every file that pages ask for. Without one of them the portal would run, but its pages would
/// stay static or have no style.
///
/// # Errors
/// Names what is missing.
pub fn check(dir: &Path) -> Result<(), NoSite> {
    let missing: Vec<&str> =
        paths::ALL.into_iter().filter(|path| !dir.join(path.trim_start_matches('/')).is_file()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what = match dir.is_dir() {
        true => format!("{} lacks these files for browsers: {}.", dir.display(), missing.join(", ")),
        false => format!("There are no files for browsers: {} is not a directory.", dir.display()),
    };
    Err(NoSite { what, source: None })
}

impl Assets {
    /// Reads every file below a directory, for their fingerprint.
    ///
    /// # Errors
    /// If the directory or a file in it cannot be read.
    pub fn load(dir: &Path) -> Result<Self, NoSite> {
        let read = || {
            let mut hasher = Sha256::new();
            fingerprint(dir, "", DEPTH_MAX, &mut hasher)?;
            let mut version = hex::encode(hasher.finalize());
            version.truncate(VERSION_DIGITS);
            let etag = HeaderValue::from_str(&format!("W/\"{version}\"")).map_err(io::Error::other)?;
            let files = ServeDir::new(dir).append_index_html_on_directories(false);
            Ok(Self { files: files.precompressed_br().precompressed_gzip(), version: version.into(), etag })
        };
        read().map_err(|source| {
            let what = format!("The files for browsers could not be read from {}.", dir.display());
            NoSite { what, source: Some(source) }
        })
    }

    /// Fingerprint of all files together, the `v` in their URLs.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The answer to a request for a file.
    pub async fn answer(&self, mut request: Request) -> Response {
        let lasts = self.is_current(request.uri());
        let is_known = self.is_known(request.headers());
        for dated in [header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE] {
            request.headers_mut().remove(dated);
        }
        let mut response = match self.files.clone().try_call(request).await {
            Ok(response) => response.map(Body::new),
            Err(error) if is_no_file_name(&error) => return StatusCode::NOT_FOUND.into_response(),
            Err(error) => {
                tracing::error!(%error, "a file for browsers cannot be read");
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
        };
        if !response.status().is_success() {
            return response;
        }
        if is_known {
            response = StatusCode::NOT_MODIFIED.into_response();
        }
        let cache = if lasts { "public, max-age=31536000, immutable" } else { "no-cache" };
        let answer = response.headers_mut();
        answer.remove(header::LAST_MODIFIED);
        answer.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        answer.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        answer.insert(header::ETAG, self.etag.clone());
        response
    }

    fn is_current(&self, uri: &Uri) -> bool {
        let version = |pair: &str| pair.strip_prefix("v=") == Some(&*self.version);
        uri.query().is_some_and(|query| query.split('&').any(version))
    }

    /// Whether the browser has this site's files already (RFC 9110 §13.1.2).
    fn is_known(&self, headers: &HeaderMap) -> bool {
        let known = headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
        known.is_some_and(|list| list.split(',').any(|tag| tag.trim().as_bytes() == self.etag.as_bytes()))
    }
}

/// Whether no file can have the name that was asked for: it is too long or has a NUL in it.
fn is_no_file_name(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput)
}

/// The handler of files, for the rows of the route table that name them.
pub async fn serve(State(assets): State<Assets>, request: Request) -> Response {
    assets.answer(request).await
}

/// Hashes names and contents below a directory, in the order of the names.
fn fingerprint(dir: &Path, prefix: &str, depth: usize, hasher: &mut Sha256) -> io::Result<()> {
    let mut entries = std::fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), format!("{prefix}/{}", entry.file_name().display()));
        if !path.is_dir() {
            hasher.update(&name);
            hasher.update(Sha256::digest(std::fs::read(&path)?));
        } else if depth > 0 {
            fingerprint(&path, &name, depth - 1, hasher)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, Method};

    fn site() -> (tempfile::TempDir, Assets) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("pkg")).unwrap();
        for (name, text) in [
            ("pkg/a.wasm", "plain"),
            ("pkg/a.wasm.br", "b"),
            ("pkg/a.wasm.gz", "g"),
            ("favicon.svg", "<svg/>"),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let assets = Assets::load(dir.path()).unwrap();
        (dir, assets)
    }

    async fn ask(assets: &Assets, uri: &str, headers: &[(HeaderName, &str)]) -> Response {
        let mut request = Request::get(uri).body(Body::empty()).unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        assets.answer(request).await
    }

    #[tokio::test]
    async fn the_smallest_accepted_form_is_sent_with_the_right_type() {
        let (_dir, assets) = site();
        for (accept, encoding) in [
            ("gzip, br", Some("br")),
            ("gzip", Some("gzip")),
            ("br;q=0, gzip;q=0.5", Some("gzip")),
            ("", None),
            ("identity", None),
        ] {
            let response = ask(&assets, "/pkg/a.wasm", &[(header::ACCEPT_ENCODING, accept)]).await;
            assert_eq!(response.headers().get(header::CONTENT_TYPE).unwrap(), "application/wasm");
            assert_eq!(
                response.headers().get(header::CONTENT_ENCODING).map(|v| v.to_str().unwrap()),
                encoding,
                "{accept}"
            );
        }
    }

    #[tokio::test]
    async fn the_right_version_lasts_for_ever_and_an_etag_saves_the_body() {
        let (dir, assets) = site();
        let version = assets.version().to_owned();
        let cache = async |uri: &str| {
            ask(&assets, uri, &[]).await.headers().get(header::CACHE_CONTROL).unwrap().clone()
        };
        let lasting = cache(&format!("/favicon.svg?v={version}")).await;
        assert!(lasting.to_str().unwrap().contains("immutable"));
        assert_eq!(cache("/favicon.svg?v=old").await, "no-cache");
        let etag = ask(&assets, "/favicon.svg", &[]).await.headers().get(header::ETAG).unwrap().clone();
        let known = [(header::IF_NONE_MATCH, etag.to_str().unwrap())];
        let again = ask(&assets, "/favicon.svg", &known).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(ask(&assets, "/none.svg", &known).await.status(), StatusCode::NOT_FOUND);
        // Another site is recognised, though its files have the same date.
        std::fs::write(dir.path().join("favicon.svg"), "<svg></svg>").unwrap();
        let upgraded = Assets::load(dir.path()).unwrap();
        let dated = (header::IF_MODIFIED_SINCE, "Fri, 31 Dec 9999 23:59:59 GMT");
        let again = ask(&upgraded, "/favicon.svg", &[known[0].clone(), dated]).await;
        assert_eq!(again.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn only_files_of_the_site_have_a_name() {
        let (_dir, assets) = site();
        for path in ["/pkg/../../etc/passwd", "/pkg", "/pkg/", "/", "/pkg/%2e%2e/favicon.svg", "/%00"] {
            assert_eq!(ask(&assets, path, &[]).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
        assert!(Assets::load(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn a_site_that_is_not_whole_says_what_it_lacks_and_how_to_get_it() {
        let (dir, _) = site();
        for name in paths::ALL {
            std::fs::write(dir.path().join(name.trim_start_matches('/')), "x").unwrap();
        }
        check(dir.path()).unwrap();
        for name in paths::ALL {
            let file = dir.path().join(name.trim_start_matches('/'));
            std::fs::remove_file(&file).unwrap();
            let said = check(dir.path()).unwrap_err().to_string();
            assert!(
                said.contains(&format!("files for browsers: {name}.")) && said.contains("cargo xtask build"),
                "{said}"
            );
            std::fs::write(&file, "x").unwrap();
        }
        assert!(check(Path::new("/nowhere")).is_err());
    }

    #[tokio::test]
    async fn a_name_that_no_file_can_have_is_not_found() {
        let (_dir, assets) = site();
        // 255 bytes are allowed to a name and 4095 to a path, with the endings of compressed forms.
        let long = [253, 255, 256, 4096, 8000].map(|length| format!("/pkg/{}", "a".repeat(length)));
        let deep = format!("/pkg{}", "/a".repeat(3000));
        let odd = ["/pkg/%00", "/pkg/a%00.wasm", "/pkg/%ff", "/pkg/a.wasm/b", "/pkg/%", "/pkg/%2"];
        for path in long.iter().map(String::as_str).chain([deep.as_str()]).chain(odd) {
            for method in [Method::GET, Method::HEAD] {
                for accept in ["", "gzip, br"] {
                    let request =
                        Request::builder().method(&method).uri(path).header(header::ACCEPT_ENCODING, accept);
                    let response = assets.answer(request.body(Body::empty()).unwrap()).await;
                    assert_eq!(response.status(), StatusCode::NOT_FOUND, "{method} {path} {accept}");
                }
            }
        }
    }
}
