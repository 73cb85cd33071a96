//! Does the page's server answer what `moesim run` answers, and withstand what is no question?
//!
//! A pass says that its numbers are those of the command it names, that a newer question ends an older one, that a
//! thousand requests, most of them wrong, get a status and a reason each and leave it answering, in little memory, and
//! that other hosts, other pages and half a request get nothing. It says nothing of the page itself: tests/browser does.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::{self, moesim};

/// A server that ends with its test.
struct Server {
    child: Child,
    host: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moesim"));
        let child = command.args(["explore", "--port", "0"]).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("moesim starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut line).expect("its address");
        let host = line.trim().trim_start_matches("http://").trim_end_matches('/').to_owned();
        assert!(host.starts_with("127.0.0.1:"), "{line}");
        Self { child, host }
    }

    fn open(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.host).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(100))).expect("a limit");
        stream
    }

    /// Sends these bytes; the status and the body that come back.
    fn send(&self, request: &[u8]) -> (u16, String) {
        let mut stream = self.open();
        // It may answer before it has read all of what is too long.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, body.to_owned())
    }

    fn get(&self, path: &str, host: &str, more: &str) -> (u16, String) {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n");
        self.send(request.as_bytes())
    }

    fn post(&self, path: &str, page: &str, body: &str) -> (u16, String) {
        let (host, length) = (&self.host, body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nx-page: {page}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        self.send((head + body).as_bytes())
    }

    fn answer(&self, path: &str, ask: &Value) -> Value {
        let (status, body) = self.post(path, "test", &ask.to_string());
        assert_eq!(status, 200, "{ask}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }
}

/// A refusal with a status of the client's, a reason and a way out.
fn refused((status, body): (u16, String), what: &str) -> Value {
    assert!((400..500).contains(&status), "{what}: {status} {body}");
    let told: Value =
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{what}: {error}: {body}"));
    for key in ["found", "help"] {
        assert!(told["error"][key].as_str().is_some_and(|said| !said.is_empty()), "{what}: {body}");
    }
    told
}

#[test]
fn answers_are_those_of_the_command_that_is_shown() {
    let server = Server::start();
    let here = program::folder("explore-same");
    for ask in [
        json!({ "model": "moe-1b", "cluster": "h100-4x8-rail", "micro_batches": 1, "seeds": 3, "uncertain": true }),
        json!({ "model": "mixtral-8x7b", "cluster": "a100-4x8", "tau": 0.31, "tokens_per_gpu": 1024, "seeds": 1,
                "expert_parallel": 4, "popularity_sd": 0.7, "library": "nccl",
                "bandwidth": { "nodes.nic.bandwidth": 0.25, "gpu.memory_bandwidth": 2.0 } }),
        json!({ "model": "moe-0.6b", "cluster": "a100-4x8", "counted": "model-forward", "coarse": true }),
        json!({ "model": "moe-1b", "cluster": "a100-4x8", "micro_batches": 1, "seeds": 1, "overlap": "two-batch" }),
        // Training by what is counted alone; serving, one token of each sequence behind others.
        json!({ "model": "moe-0.6b", "cluster": "a100-4x8", "counted": "training-step", "micro_batches": 1, "seeds": 1 }),
        json!({ "model": "moe-1b", "cluster": "a100-4x8", "counted": "model-forward", "phase": "decode", "context": 4096,
                "tokens_per_gpu": 64, "micro_batches": 1, "seeds": 1 }),
    ] {
        let told = server.answer("/api/ask", &ask);
        let saved = server.answer("/api/export/toml", &ask);
        for file in saved["files"].as_array().expect("files") {
            let [name, text] = [0, 1].map(|at| file[at].as_str().expect("a text"));
            fs::write(here.join(name), text).expect("a file of ours");
        }
        let script = format!(
            "$0 {}",
            told["command"].as_str().expect("a command").trim_start_matches("moesim ")
        );
        let mut shell = Command::new("sh");
        let run =
            shell.args(["-c", &script, env!("CARGO_BIN_EXE_moesim")]).current_dir(&here).output();
        let run = run.expect("a shell");
        assert!(run.status.success(), "{script}: {}", String::from_utf8_lossy(&run.stderr));
        let run: Value = serde_json::from_slice(&run.stdout).expect("JSON");
        assert_eq!(told["result"]["results"], run["results"], "{ask}");
        assert!(!told["drawings"].as_array().expect("pictures").is_empty());
    }
    let ask =
        json!({ "model": "moe-1b", "cluster": "h100-4x8-rail", "micro_batches": 1, "seeds": 1 });
    let text = |kind: &str| {
        let told = server.answer(&format!("/api/export/{kind}"), &ask);
        told["files"][0][1].as_str().expect("a text").to_owned()
    };
    let gain =
        server.answer("/api/ask", &ask)["result"]["results"][1]["throughput_increase_percent"]
            .clone();
    assert!(
        text("csv").lines().nth(2).is_some_and(|line| line.contains(&gain.to_string())),
        "{gain}"
    );
    assert!(text("report").contains("What does MoE++ gain over vanilla MoE on 32"));
    assert!(
        text("python").contains("moesim.run(scenario, set=[\"workload.batch.micro_batches=1\"]")
    );
}

#[test]
fn a_newer_question_of_a_page_ends_the_older_one() {
    let server = Server::start();
    let long = json!({ "model": "deepseek-v3", "cluster": "gb200-nvl576", "seeds": 16, "micro_batches": 64, "uncertain": true });
    let short = json!({ "model": "moe-1b", "cluster": "a100-4x8", "coarse": true });
    std::thread::scope(|scope| {
        let older = scope.spawn(|| server.post("/api/ask", "one-A", &long.to_string()));
        std::thread::sleep(Duration::from_millis(1500));
        let began = Instant::now();
        let (status, body) = server.post("/api/ask", "one-A", &short.to_string());
        assert_eq!(status, 200, "{body}");
        let (status, body) = older.join().expect("a request");
        assert_eq!(status, 409, "{body}");
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    });
}

#[test]
fn other_hosts_and_other_pages_get_nothing() {
    let server = Server::start();
    let port = server.host.rsplit(':').next().expect("a port").to_owned();
    assert_eq!(server.get("/", &server.host, "").0, 200);
    assert_eq!(server.get("/", &format!("localhost:{port}"), "").0, 200);
    for host in ["example.org", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.example.org", ""] {
        assert_eq!(server.get("/api/choices", host, "").0, 403, "{host}");
    }
    for origin in ["http://example.org", "https://127.0.0.1:1", "null"] {
        let more = format!("Origin: {origin}\r\n");
        assert_eq!(server.get("/api/choices", &server.host, &more).0, 403, "{origin}");
    }
    let form = format!(
        "POST /api/ask HTTP/1.1\r\nHost: {}\r\nx-page: a\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\
         Connection: close\r\n\r\n{{}}",
        server.host
    );
    assert_eq!(server.send(form.as_bytes()).0, 415);
}

/// Bodies that are no question, and the key that the refusal names.
const WRONG: [(&str, &str); 23] = [
    ("", ""),
    ("[]", ""),
    ("[\"moe-1b\", \"a100-4x8\"]", ""),
    ("{\"model\": \"moe-1b\", \"cluster\": \"a100-4x8\", \"overlap\": \"three-batch\"}", "overlap"),
    (
        "{\"model\": \"moe-1b\", \"cluster\": \"a100-4x8\", \"bandwidth\": {\"nvlink\": 1}}",
        "bandwidth",
    ),
    ("{\"model\": \"moe-1b\"}", ""),
    ("{\"model\": 7, \"cluster\": \"a100-4x8\"}", "model"),
    ("{\"model\": \"moe-1b\", \"cluster\": \"../../etc/passwd\"}", "cluster"),
    ("{\"model\": \"/etc/passwd\", \"cluster\": \"a100-4x8\"}", "model"),
    ("{\"model\": \"moe-1b\", \"cluster\": \"a100-4x8=h100-sxm\"}", "cluster"),
    ("{\"model\": \"moe-1b\", \"cluster\": \"a100-4x8\", \"tau\": 1e308}", "tau"),
    ("{\"model\": \"moe-1b\", \"cluster\": \"a100-4x8\", \"tau\": \"small\"}", "tau"),
    (
        "{\"model\": \"moe-1b\", \"cluster\": \"a100-4x8\", \"seeds\": 99999999999999999999}",
        "seeds",
    ),
    ("{\"model\": \"moe-1b\", \"cluster\": \"a100-4x8\", \"set\": [\"profile=/etc/passwd\"]}", ""),
    ("{\"model\": \"moe-1b\", \"cluster\": \"a100-4x8\", \"library\": \"x\\u0000\"}", "library"),
    (
        "{\"model\": \"moe-1b\", \"cluster\": \"a100-4x8\", \"bandwidth\": {\"gpu.name\": 2}}",
        "bandwidth",
    ),
    (
        "{\"model\": \"moe-1b\", \"cluster\": \"a100-4x8\", \"expert_parallel\": 1000, \"coarse\": true}",
        "",
    ),
    (
        "{\"model\": \"moe-1b\", \"cluster\": \"a100-4x8\", \"tokens_per_gpu\": -1}",
        "tokens_per_gpu",
    ),
    ("{\"model\": \"moe-1b\", \"cluster\": \"a100-4x8\", \"tau\": NaN}", ""),
    ("{\"model\": \"moe-1b\", \"cluster\": \"a100-4x8\", \"phase\": \"asleep\"}", "phase"),
    ("{\"model\": \"moe-1b\", \"cluster\": \"a100-4x8\", \"context\": 4294967295}", "context"),
    ("{\"model\": \"moe-1b\", \"cluster\": \"a100-4x8\", \"model\": \"moe-2b\"}", ""),
    (
        "{\"model\": \"moe-1b\", \"cluster\": \"a100-4x8\", \"seeds\": 1, \"uncertain\": 1}",
        "uncertain",
    ),
];

const PATHS: [&str; 6] = [
    "/../Cargo.toml",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/api/export/exe",
    "/api/ask/..",
    "//etc/passwd",
    "/x?y=/etc/passwd",
];

/// What other hosts, other pages and other protocols send; how many requests that is.
fn foreign(server: &Server, good: &str) -> usize {
    let own = &server.host;
    let length = good.len();
    let head = "x-page: a\r\nContent-Type: application/json";
    let nested = "[".repeat(8000);
    let wrong = [
        format!(
            "POST /api/ask HTTP/1.1\r\nHost: example.org\r\n{head}\r\nContent-Length: {length}\r\n\r\n{good}"
        ),
        format!(
            "POST /api/ask HTTP/1.1\r\nHost: {own}\r\nOrigin: http://example.org\r\n{head}\r\n\
             Content-Length: {length}\r\n\r\n{good}"
        ),
        format!("POST /api/ask HTTP/1.1\r\n{head}\r\nContent-Length: {length}\r\n\r\n{good}"),
        format!("DELETE /api/ask HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\n\r\n"),
        format!(
            "POST /api/ask HTTP/1.1\r\nHost: {own}\r\n{head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{nested}",
            nested.len()
        ),
        format!(
            "POST /api/ask HTTP/1.1\r\nHost: {own}\r\n{head}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
             zz\r\nno chunk"
        ),
    ];
    for request in &wrong {
        let request = request.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
        let (status, body) = server.send(request.as_bytes());
        assert!((400..500).contains(&status), "{status} {body}: {request}");
    }
    wrong.len()
}

#[test]
fn a_thousand_requests_get_an_answer_or_a_reason_each() {
    let server = Server::start();
    // Half a request each, that never goes on.
    let halves: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = server.open();
            stream.write_all(b"POST /api/ask HTTP/1.1\r\nHost: ").expect("it listens");
            stream
        })
        .collect();
    let good = json!({ "model": "moe-1b", "cluster": "a100-4x8", "coarse": true }).to_string();
    let mut asked = halves.len();
    let long = "x".repeat(1 << 20);
    for round in 0..40 {
        for (body, key) in WRONG {
            let told = refused(server.post("/api/ask", "many", body), body);
            let named = told["error"]["key"].as_str().expect("a key");
            assert!(key.is_empty() || named.starts_with(key), "{body}: {told}");
        }
        for path in PATHS {
            refused(server.get(path, &server.host, ""), path);
        }
        refused(server.get("/api/ask", &server.host, ""), "GET");
        refused(server.post("/api/ask", "no page", &good), "a page's name");
        // It may break off before all of it has come.
        let head = format!(
            "POST /api/ask HTTP/1.1\r\nHost: {}\r\nx-page: a\r\nContent-Type: application/json\r\n\
             Content-Length: 1000000000\r\n\r\n",
            server.host
        );
        assert_eq!(server.send(head.as_bytes()).0, 413, "a long body");
        assert!([0, 413].contains(&server.post("/api/ask", "many", &long).0), "a long body");
        let head = format!("GET / HTTP/1.1\r\nHost: {}\r\nx: {long}\r\n\r\n", server.host);
        assert!([0, 400, 413, 431].contains(&server.send(head.as_bytes()).0), "a long head");
        assert!([0, 400].contains(&server.send(b"\x16\x03\x01\x00 nonsense\r\n\r\n").0), "TLS");
        asked += WRONG.len() + PATHS.len() + 6 + foreign(&server, &good);
        if round % 4 == 0 {
            let (status, body) = server.post("/api/ask", "many", &good);
            assert_eq!(status, 200, "{body}");
            asked += 1;
        }
    }
    assert!(asked >= 1000, "{asked}");
    // Half a request is not waited for.
    for mut half in halves {
        let mut rest = Vec::new();
        let _ = half.read_to_end(&mut rest);
        let said = String::from_utf8_lossy(&rest);
        assert!(said.is_empty() || said.contains(" 408 ") || said.contains(" 400 "), "{said}");
    }
    if let Ok(status) = fs::read_to_string(format!("/proc/{}/status", server.child.id())) {
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kb: u64 = peak.and_then(|kb| kb.trim().split(' ').next()?.parse().ok()).expect("kB");
        assert!(kb < 600_000, "{kb} kB of memory");
    }
}

#[test]
fn a_port_that_is_taken_is_refused_with_a_way_out() {
    let server = Server::start();
    let port = server.host.rsplit(':').next().expect("a port");
    let here = program::folder("explore-taken");
    let output = moesim(&here, &["explore", "--port", port]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("name another port, or 0"), "{said}");
}
