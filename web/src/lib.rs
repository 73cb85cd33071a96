//! The library as the engine of a page without a server: a path and JSON in, JSON out.
//!
//! Whoever calls asks for room for a text, writes it there, and calls [`answer`]; what is told lies at [`told`] until the next
//! call. The text is a line with the path, as the server of `moesim explore` has it, and the body beneath. Nothing is
//! imported: an engine is a function of what it is asked. It ends where moesim fails; what is told then is why.

// Names that JavaScript calls by; nothing here is otherwise unsafe.
#![allow(unsafe_code)]

mod math;

use std::panic;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moesim::commands::explore::{Ask, Request, Unanswered, mistake};
use moesim::config::Diagnostic;

/// What the compiler calls where a program asks for a function, in place of its own: see [`math`].
macro_rules! taken {
    ($($name:ident($($of:ident),*)),* $(,)?) => {$(
        #[doc = concat!("`", stringify!($name), "` of C.")]
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($($of: f64),*) -> f64 {
            math::$name($($of),*)
        }
    )*};
}

#[cfg(target_family = "wasm")]
taken!(exp(x), expm1(x), log(x), log10(x), log1p(x), log2(x), pow(x, y));

static ASKED: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static TOLD: Mutex<String> = Mutex::new(String::new());

/// Statuses of HTTP, as the server gives them.
const OK: u32 = 200;
const NOTHING_THERE: u32 = 404;
const REFUSED: u32 = 422;

fn held<T>(own: &Mutex<T>) -> MutexGuard<'_, T> {
    own.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Room for a text of so many bytes.
#[unsafe(no_mangle)]
pub extern "C" fn room(bytes: usize) -> *mut u8 {
    let mut asked = held(&ASKED);
    asked.clear();
    asked.resize(bytes, 0);
    asked.as_mut_ptr()
}

/// Answers the text that was written; its status.
#[unsafe(no_mangle)]
pub extern "C" fn answer() -> u32 {
    panic::set_hook(Box::new(|why| {
        let why = why.to_string();
        let mistake = Diagnostic::of("moesim", why, "this is a defect: please report it");
        *held(&TOLD) = self::mistake(&mistake).to_string();
    }));
    let asked = String::from_utf8_lossy(&held(&ASKED)).into_owned();
    let (path, body) = asked.split_once('\n').unwrap_or((&asked, ""));
    let (status, text) = of(path, body);
    *held(&TOLD) = text;
    status
}

/// Where what is told begins.
#[unsafe(no_mangle)]
pub extern "C" fn told() -> *const u8 {
    held(&TOLD).as_ptr()
}

/// How many bytes it has.
#[unsafe(no_mangle)]
pub extern "C" fn told_bytes() -> usize {
    held(&TOLD).len()
}

fn of(path: &str, body: &str) -> (u32, String) {
    let refused = |status, why: &Diagnostic| (status, mistake(why).to_string());
    let Some(request) = Request::of(path) else {
        let help = "ask for api/choices, api/ask or api/export";
        return refused(NOTHING_THERE, &Diagnostic::of(path, "is not answered here", help));
    };
    let ask = match (request, body) {
        (Request::Choices, _) => None,
        (_, body) => match Ask::read(body) {
            Ok(ask) => Some(ask),
            Err(why) => return refused(REFUSED, &why),
        },
    };
    match request.told(ask.as_ref(), &Arc::default()) {
        Ok(text) => (OK, text),
        Err(Unanswered::Refused(why)) => refused(REFUSED, &why),
        // Whoever waits no longer ends the engine.
        Err(Unanswered::GivenUp) => (NOTHING_THERE, String::new()),
    }
}
