//! What each path answers, to whom, and how many simulations run at once.
//!
//! Requests are answered where their `Host`, and `Origin` if there is one, is this server's own: no other page that a
//! browser shows can ask, by whatever name it reaches the loopback interface. Questions come as JSON, whose type
//! no form can send. A page names itself and its set-up in the header `x-page`: a newer question of the same takes the
//! place of the older one, whose simulation ends at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use moesim::commands::explore::{Ask, Request as Asked, Unanswered};
use moesim::output::page;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::refusal::Refusal;

/// Simulations at once; each uses all cores.
const MOST_RUNS: usize = 2;
/// Bytes of a question.
const MOST_BODY: usize = 16 << 10;
/// How long a question may take to come, and its answer.
const BODY: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);
/// Letters of the name that a page gives itself.
const MOST_NAME: usize = 64;

/// Nothing but what this server itself sends is loaded or asked.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What is sent as it is: path, type, text.
const FILES: [(&str, &str, &str); 5] = [
    ("/", "text/html; charset=utf-8", include_str!("page.html")),
    ("/explore.css", "text/css; charset=utf-8", include_str!("explore.css")),
    ("/explore.js", "text/javascript; charset=utf-8", include_str!("explore.js")),
    ("/page.css", "text/css; charset=utf-8", page::STYLE),
    ("/page.js", "text/javascript; charset=utf-8", page::SCRIPT),
];

const JSON: &str = "application/json";

/// What the server knows.
pub(super) struct Answers {
    hosts: [String; 2],
    runs: Arc<Semaphore>,
    waiting: Arc<Mutex<BTreeMap<String, Arc<AtomicBool>>>>,
}

/// A question that somebody waits for. When it is dropped, nobody does any more.
struct Waiting {
    page: String,
    given_up: Arc<AtomicBool>,
    all: Arc<Mutex<BTreeMap<String, Arc<AtomicBool>>>>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(&self.page).is_some_and(|newest| Arc::ptr_eq(newest, &self.given_up)) {
            all.remove(&self.page);
        }
    }
}

impl Answers {
    pub(super) fn at(address: SocketAddr) -> Self {
        let port = address.port();
        Self {
            hosts: [address.to_string(), format!("localhost:{port}")],
            runs: Arc::new(Semaphore::new(MOST_RUNS)),
            waiting: Arc::default(),
        }
    }

    /// Answers any request.
    pub(super) async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (status, kind, text) = match self.answer(request).await {
            Ok((kind, text)) => (StatusCode::OK, kind, text),
            Err(refusal) => (refusal.status, JSON, refusal.json()),
        };
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        let headers = [
            (header::CONTENT_TYPE, kind),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        for (name, value) in headers {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<(&'static str, String), Refusal> {
        self.refuse_others(request.headers())?;
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        if let Some((_, kind, text)) = FILES.iter().find(|(own, ..)| *own == path) {
            allow(&head.method, &Method::GET)?;
            return Ok((kind, (*text).to_owned()));
        }
        let asked = path.strip_prefix('/').and_then(Asked::of).ok_or_else(unknown)?;
        if asked == Asked::Choices {
            allow(&head.method, &Method::GET)?;
            return Ok((JSON, told(asked, None, &Arc::default())?));
        }
        allow(&head.method, &Method::POST)?;
        let ask = Ask::read(&text_of(&head.headers, body).await?)?;
        let page =
            head.headers.get("x-page").and_then(|name| name.to_str().ok()).unwrap_or_default();
        Ok((JSON, self.run(asked, ask, page).await?))
    }

    /// Refuses what a page of another host sends, or what reached this one by another name.
    fn refuse_others(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let of = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let own = |host: &str| self.hosts.iter().any(|known| known == host);
        let refused = |what: &str| {
            let help = format!("ask http://{}/ from a page of its own", self.hosts[0]);
            Refusal::of(StatusCode::FORBIDDEN, what, &help)
        };
        if !of(header::HOST).is_some_and(own) {
            return Err(refused("its Host is not this server's"));
        }
        let origin =
            of(header::ORIGIN).map(|origin| origin.strip_prefix("http://").unwrap_or_default());
        if origin.is_some_and(|origin| !own(origin)) {
            return Err(refused("its Origin is another page"));
        }
        Ok(())
    }

    /// Runs a question; the one of the same page that came before is given up.
    async fn run(&self, asked: Asked, ask: Ask, page: &str) -> Result<String, Refusal> {
        let waiting = self.newest(page)?;
        let permit =
            Arc::clone(&self.runs).acquire_owned().await.map_err(|_| Refusal::overtaken())?;
        if waiting.given_up.load(Ordering::Relaxed) {
            return Err(Refusal::overtaken());
        }
        let given_up = Arc::clone(&waiting.given_up);
        let work = tokio::task::spawn_blocking(move || {
            let told = told(asked, Some(&ask), &given_up);
            drop(permit);
            told
        });
        match timeout(LONGEST, work).await {
            Ok(Ok(told)) => told,
            Ok(Err(_)) => {
                let help = "this is a defect: please report it, with what the terminal says";
                Err(Refusal::of(StatusCode::INTERNAL_SERVER_ERROR, "moesim failed", help))
            }
            Err(_) => {
                let found = format!("its answer takes more than {} s", LONGEST.as_secs());
                let help = "ask for fewer seeds, micro-batches or GPUs, or take `moesim run`";
                Err(Refusal::of(StatusCode::UNPROCESSABLE_ENTITY, found, help))
            }
        }
    }

    fn newest(&self, page: &str) -> Result<Waiting, Refusal> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if page.is_empty() || page.len() > MOST_NAME || !page.chars().all(plain) {
            let help = format!("give 1 to {MOST_NAME} letters, digits or hyphens in x-page");
            return Err(Refusal::of(StatusCode::BAD_REQUEST, "it does not name its page", &help));
        }
        let given_up = Arc::new(AtomicBool::new(false));
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(older) = all.insert(page.to_owned(), Arc::clone(&given_up)) {
            older.store(true, Ordering::Relaxed);
        }
        Ok(Waiting { page: page.to_owned(), given_up, all: Arc::clone(&self.waiting) })
    }
}

fn told(asked: Asked, ask: Option<&Ask>, given_up: &Arc<AtomicBool>) -> Result<String, Refusal> {
    asked.told(ask, given_up).map_err(|why| match why {
        Unanswered::Refused(mistake) => mistake.into(),
        Unanswered::GivenUp => Refusal::overtaken(),
    })
}

fn unknown() -> Refusal {
    Refusal::of(StatusCode::NOT_FOUND, "there is nothing under its path", "open / in a browser")
}

fn allow(method: &Method, wanted: &Method) -> Result<(), Refusal> {
    if method == wanted {
        return Ok(());
    }
    let help = format!("ask by {wanted}");
    Err(Refusal::of(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("nothing answers {method} here"),
        &help,
    ))
}

/// The text of a question.
async fn text_of(headers: &HeaderMap, body: Incoming) -> Result<String, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.is_none_or(|kind| kind.split(';').next() != Some(JSON)) {
        let help = "send JSON, and Content-Type: application/json";
        return Err(Refusal::of(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "it is not of JSON's type",
            help,
        ));
    }
    let long = || {
        let help = format!("send at most {MOST_BODY} bytes");
        Refusal::of(StatusCode::PAYLOAD_TOO_LARGE, "it is too long, or broke off", &help)
    };
    // What is said to be too long is not read.
    if body.size_hint().lower() > MOST_BODY as u64 {
        return Err(long());
    }
    let late = || {
        Refusal::of(StatusCode::REQUEST_TIMEOUT, "the rest of it did not come", "send all of it")
    };
    let whole = timeout(BODY, Limited::new(body, MOST_BODY).collect()).await.map_err(|_| late())?;
    let whole = whole.map_err(|_| long())?;
    String::from_utf8(whole.to_bytes().to_vec())
        .map_err(|_| Refusal::of(StatusCode::BAD_REQUEST, "it is not UTF-8", "send JSON in UTF-8"))
}
