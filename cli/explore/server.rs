//! The server behind the page: HTTP on the loopback interface, within limits.
//!
//! hyper alone, without a framework: five paths need no router, and what matters here is what frameworks leave to
//! those who use them: a limit on connections, on the time until a request's head has come, on its size. One thread
//! serves; simulations run on threads of their own, few at once ([`super::answers`]).

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use moesim::base::threads;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answers::Answers;

/// Connections at once; others wait to be accepted.
const MOST_CONNECTIONS: usize = 128;
/// How long a request's head may take to come, and a connection may be idle.
const HEAD: Duration = Duration::from_secs(5);
/// How long a connection lasts at most.
const LONGEST: Duration = Duration::from_secs(600);
/// Bytes of a request's head, and its lines.
const MOST_HEAD: usize = 16 << 10;
const MOST_HEADERS: usize = 64;
/// As much as the first thread of a process has.
const STACK: usize = 8 << 20;
/// How long to wait where the system has no more sockets to give.
const NO_SOCKET: Duration = Duration::from_millis(50);

/// Serves until the process ends; `told` is called once it listens.
pub(super) fn serve(port: u16, told: impl FnOnce(SocketAddr) -> io::Result<()>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(threads::available().max(2))
        .thread_stack_size(STACK)
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let answers = Arc::new(Answers::at(address));
        let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        told(address)?;
        loop {
            let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return Ok(()) };
            match listener.accept().await {
                Ok((stream, _)) => {
                    drop(tokio::spawn(connection(stream, Arc::clone(&answers), permit)));
                }
                Err(_) => tokio::time::sleep(NO_SOCKET).await,
            }
        }
    })
}

async fn connection(stream: TcpStream, answers: Arc<Answers>, permit: OwnedSemaphorePermit) {
    let service = service_fn(move |request| {
        let answers = Arc::clone(&answers);
        async move { Ok::<_, Infallible>(answers.respond(request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(MOST_HEADERS)
        .max_buf_size(MOST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    // Whoever broke off needs no answer.
    let _ = tokio::time::timeout(LONGEST, served).await;
    drop(permit);
}
