//! The files for browsers: wasm, scripts, styles, the icon. Read once at start and served from memory.
//!
//! They are few and small, so that memory is cheaper than opening them per request, and a request can only ever name
//! a file that was there at start: no path reaches the disk. `name.br` and `name.gz` beside a file are its compressed forms,
//! made at build time. A URL with the right `?v=` never changes its content and is cached for ever; any other is
//! asked for again with its `ETag`.

use crate::state::Shared;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{StatusCode, Uri};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

/// Directories deeper than this are not looked into; the site has three levels.
const DEPTH_MAX: usize = 6;

/// One file with its compressed forms.
struct Asset {
    mime: &'static str,
    hash: String,
    plain: Bytes,
    brotli: Option<Bytes>,
    gzip: Option<Bytes>,
}

/// All files, by the path in their URL.
pub struct Assets {
    files: HashMap<String, Asset>,
    version: String,
}

/// Why the site's files could not be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "The files for browsers could not be read from {}. Build them with “cargo xtask build”, or set SNOWGLOBE_SITE to where they are.",
    dir.display()
)]
pub struct NoSite {
    dir: PathBuf,
    source: io::Error,
}

impl Assets {
    /// Reads every file below a directory.
    ///
    /// # Errors
    /// If the directory or a file in it cannot be read.
    pub fn load(dir: &Path) -> Result<Self, NoSite> {
        let mut contents = HashMap::new();
        read_tree(dir, "", DEPTH_MAX, &mut contents)
            .map_err(|source| NoSite { dir: dir.to_owned(), source })?;
        let mut names: Vec<String> = contents.keys().filter(|n| !is_compressed(n)).cloned().collect();
        names.sort();
        let mut whole = Sha256::new();
        let mut files = HashMap::new();
        for name in names {
            let Some(plain) = contents.remove(&name) else { continue };
            let hash = short_hash(&plain);
            whole.update(name.as_bytes());
            whole.update(hash.as_bytes());
            let brotli = contents.remove(&format!("{name}.br"));
            let gzip = contents.remove(&format!("{name}.gz"));
            files.insert(name.clone(), Asset { mime: mime(&name), hash, plain, brotli, gzip });
        }
        let mut version = hex(&whole.finalize());
        version.truncate(12);
        Ok(Self { files, version })
    }

    /// Fingerprint of all files together, the `v` in their URLs.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The answer for a path, if there is such a file.
    pub fn answer(&self, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
        let asset = self.files.get(uri.path())?;
        let (body, encoding) = asset.best(headers);
        let etag = format!("\"{}{}\"", asset.hash, encoding.unwrap_or(""));
        let lasts =
            uri.query().is_some_and(|q| q.split('&').any(|p| p.strip_prefix("v=") == Some(&self.version)));
        let known = headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
        let is_known = known.is_some_and(|list| list.split(',').any(|tag| tag.trim() == etag));
        let mut response = match is_known {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => body.into_response(),
        };
        let answer = response.headers_mut();
        let cache = if lasts { "public, max-age=31536000, immutable" } else { "no-cache" };
        answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.mime));
        answer.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        answer.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            answer.insert(header::ETAG, etag);
        }
        if let Some(encoding) = encoding.filter(|_| !is_known) {
            answer.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        Some(response)
    }
}

impl Asset {
    /// The smallest form that the client takes.
    fn best(&self, headers: &HeaderMap) -> (Bytes, Option<&'static str>) {
        let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or("");
        for (form, name) in [(&self.brotli, "br"), (&self.gzip, "gzip")] {
            if let Some(body) = form.as_ref().filter(|_| accepts(accepted, name)) {
                return (body.clone(), Some(name));
            }
        }
        (self.plain.clone(), None)
    }
}

/// The handler of files, for the rows of the route table that name them.
pub async fn serve(State(server): State<Shared>, uri: Uri, headers: HeaderMap) -> Response {
    server.assets.answer(&uri, &headers).unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}

/// Whether `Accept-Encoding` names an encoding without refusing it by `q=0` (RFC 9110 §12.5.3).
fn accepts(header: &str, name: &str) -> bool {
    header.split(',').any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let is_it = parts.next().is_some_and(|n| n.eq_ignore_ascii_case(name));
        let weight = parts.find_map(|p| p.strip_prefix("q=")).and_then(|q| q.parse::<f32>().ok());
        is_it && weight.unwrap_or(1.0) > 0.0
    })
}

fn read_tree(dir: &Path, prefix: &str, depth: usize, found: &mut HashMap<String, Bytes>) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let (path, url) = (entry.path(), format!("{prefix}/{name}"));
        if path.is_dir() {
            if depth > 0 {
                read_tree(&path, &url, depth - 1, found)?;
            }
        } else {
            found.insert(url, Bytes::from(std::fs::read(&path)?));
        }
    }
    Ok(())
}

fn is_compressed(name: &str) -> bool {
    name.ends_with(".br") || name.ends_with(".gz")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn short_hash(bytes: &[u8]) -> String {
    let mut text = hex(&Sha256::digest(bytes));
    text.truncate(24);
    text
}

fn mime(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "wasm" => "application/wasm",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn ask(assets: &Assets, uri: &str, headers: &[(header::HeaderName, &str)]) -> Option<Response> {
        let headers = headers.iter().map(|(n, v)| (n.clone(), HeaderValue::from_str(v).unwrap())).collect();
        assets.answer(&uri.parse().unwrap(), &headers)
    }

    #[test]
    fn the_smallest_accepted_form_is_sent_with_the_right_type() {
        let (_dir, assets) = site();
        for (accept, encoding) in [
            ("gzip, br", Some("br")),
            ("gzip", Some("gzip")),
            ("br;q=0, gzip;q=0.5", Some("gzip")),
            ("", None),
            ("identity", None),
        ] {
            let response = ask(&assets, "/pkg/a.wasm", &[(header::ACCEPT_ENCODING, accept)]).unwrap();
            assert_eq!(response.headers().get(header::CONTENT_TYPE).unwrap(), "application/wasm");
            assert_eq!(
                response.headers().get(header::CONTENT_ENCODING).map(|v| v.to_str().unwrap()),
                encoding,
                "{accept}"
            );
        }
    }

    #[test]
    fn the_right_version_lasts_for_ever_and_an_etag_saves_the_body() {
        let (_dir, assets) = site();
        let version = assets.version().to_owned();
        let cache =
            |uri: &str| ask(&assets, uri, &[]).unwrap().headers().get(header::CACHE_CONTROL).unwrap().clone();
        assert!(cache(&format!("/favicon.svg?v={version}")).to_str().unwrap().contains("immutable"));
        assert_eq!(cache("/favicon.svg?v=old"), "no-cache");
        let etag = ask(&assets, "/favicon.svg", &[]).unwrap().headers().get(header::ETAG).unwrap().clone();
        let again = ask(&assets, "/favicon.svg", &[(header::IF_NONE_MATCH, etag.to_str().unwrap())]).unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn only_files_of_the_site_have_a_name() {
        let (_dir, assets) = site();
        for path in ["/pkg/../../etc/passwd", "/pkg/a.wasm.br", "/pkg", "/", "/pkg/%2e%2e/favicon.svg"] {
            assert!(ask(&assets, path, &[]).is_none(), "{path}");
        }
        assert!(Assets::load(Path::new("/nowhere")).is_err());
    }
}
