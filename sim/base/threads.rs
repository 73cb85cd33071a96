//! Jobs on several threads: the one place where cores are used and where their number is set.
//!
//! Jobs are numbered, and a job is a function of its number alone, so that results are the same for any
//! number of threads. Threads take the next number when they are free: whoever knows which jobs are long
//! numbers those first. Who waits for them may listen ([`observed`]). The pool is rayon's, with exactly as many threads as were asked for.

use std::cell::RefCell;
use std::convert::Infallible;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

/// Results that wait to be kept, at most; a thread with one more waits itself.
const WAITING: usize = 1024;

thread_local! {
    static OBSERVER: RefCell<Option<Observer>> = const { RefCell::new(None) };
    static GIVEN_UP: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// What unwinds a thread whose work nobody waits for.
struct GivenUp;

/// Does work that ends early, with nothing, once `given_up` is true: whoever asked waits no longer. Jobs that it begins
/// on other threads end with it. What comes is what the work gives: a result does not depend on who may give it up.
pub fn unless_given_up<T>(given_up: &Arc<AtomicBool>, work: impl FnOnce() -> T) -> Option<T> {
    let before = GIVEN_UP.replace(Some(Arc::clone(given_up)));
    let done = catch_unwind(AssertUnwindSafe(work));
    GIVEN_UP.set(before);
    match done {
        Ok(result) => Some(result),
        Err(why) if why.is::<GivenUp>() => None,
        Err(panic) => resume_unwind(panic),
    }
}

/// Ends the work of this thread where nobody waits for it any more. Long work calls this now and then.
pub fn go_on() {
    let given_up = |flag: &Option<Arc<AtomicBool>>| {
        flag.as_ref().is_some_and(|given_up| given_up.load(Ordering::Relaxed))
    };
    if GIVEN_UP.with_borrow(given_up) {
        resume_unwind(Box::new(GivenUp));
    }
}

/// Who is told how many jobs of how many are done.
struct Observer {
    told: Box<dyn Fn(usize, usize)>,
    done: usize,
    all: usize,
}

/// Does work whose jobs `told` hears of: how many are done, and how many there are as far as is known yet. Those that jobs
/// themselves begin do not count. Results do not depend on who listens.
pub fn observed<T>(told: impl Fn(usize, usize) + 'static, work: impl FnOnce() -> T) -> T {
    let observer = Observer { told: Box::new(told), done: 0, all: 0 };
    OBSERVER.set(Some(observer));
    let result = work();
    OBSERVER.take();
    result
}

/// The observer of the calling thread while a batch of jobs runs; put back at its end.
struct Listening(Option<Observer>);

impl Listening {
    fn to(jobs: usize) -> Self {
        let mut own = Self(OBSERVER.take());
        own.tell(0, jobs);
        own
    }

    fn tell(&mut self, done: usize, more: usize) {
        if let Some(observer) = &mut self.0 {
            observer.done += done;
            observer.all += more;
            (observer.told)(observer.done, observer.all);
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        OBSERVER.set(self.0.take());
    }
}

/// Threads to use where nobody says how many: as many as the machine offers.
#[must_use]
pub fn available() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Threads that are kept from one batch of jobs to the next: for jobs of microseconds, which threads made for each batch
/// would take longer to begin than to do. The calling thread is one of them.
#[derive(Debug)]
pub struct Team {
    /// The threads beside the calling one.
    others: Option<rayon::ThreadPool>,
}

impl Team {
    /// A team of so many threads; of fewer where the system grants no more.
    #[must_use]
    pub fn of(threads: usize) -> Self {
        let pool = || rayon::ThreadPoolBuilder::new().num_threads(threads - 1).build().ok();
        Self { others: (threads > 1).then(pool).flatten() }
    }

    /// How many there are.
    #[must_use]
    pub fn size(&self) -> usize {
        1 + self.others.as_ref().map_or(0, rayon::ThreadPool::current_num_threads)
    }

    /// Does `job(0)` … `job(jobs − 1)` on at most so many of the team.
    pub fn each(&self, jobs: usize, most: usize, job: impl Fn(usize) + Sync) {
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= jobs {
                    break;
                }
                job(at);
            }
        };
        let helpers = self.size().min(most).min(jobs).saturating_sub(1);
        match &self.others {
            Some(others) if helpers > 0 => others.in_place_scope(|scope| {
                (0..helpers).for_each(|_| scope.spawn(|_| work()));
                work();
            }),
            _ => work(),
        }
    }
}

/// `job(0)`, `job(1)`, … `job(jobs − 1)` on several threads, in order.
pub fn in_parallel<T: Send>(
    jobs: usize,
    threads: usize,
    job: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    in_parallel_with(jobs, threads, |_| (), |(), at| job(at))
}

/// As [`in_parallel`]; each thread first makes a state, from its number, that its jobs use in turn.
///
/// The state saves work (space, what was read last); a result may not depend on it.
pub fn in_parallel_with<S, T: Send>(
    jobs: usize,
    threads: usize,
    state: impl Fn(usize) -> S + Sync,
    job: impl Fn(&mut S, usize) -> T + Sync,
) -> Vec<T> {
    let mut results: Vec<Option<T>> = Vec::with_capacity(jobs);
    results.resize_with(jobs, || None);
    let numbered = |state: &mut S, at| (at, job(state, at));
    let Ok(()) = as_they_finish(jobs, threads, state, numbered, |(at, result)| {
        results[at] = Some(result);
        Ok::<(), Infallible>(())
    });
    results.into_iter().flatten().collect()
}

/// As [`in_parallel_with`], handing each result to `keep`, on the calling thread, as it finishes.
///
/// # Errors
/// The first error of `keep`. No job begins after it.
pub fn as_they_finish<S, T: Send, E>(
    jobs: usize,
    threads: usize,
    state: impl Fn(usize) -> S + Sync,
    job: impl Fn(&mut S, usize) -> T + Sync,
    mut keep: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads.min(jobs);
    let mut listening = Listening::to(jobs);
    let mut keep = move |result| {
        listening.tell(1, 0);
        keep(result)
    };
    let pool = || rayon::ThreadPoolBuilder::new().num_threads(threads).build().ok();
    // Where the system grants no threads, the calling one does all: results are the same.
    let Some(pool) = (threads > 1).then(pool).flatten() else {
        let mut state = state(0);
        return (0..jobs).try_for_each(|at| keep(job(&mut state, at)));
    };
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let given_up = GIVEN_UP.with_borrow(Clone::clone);
    let (done, finished) = mpsc::sync_channel(WAITING);
    pool.in_place_scope(|scope| {
        let (next, stop, state, job) = (&next, &stop, &state, &job);
        scope.spawn_broadcast(move |_, thread| {
            GIVEN_UP.set(given_up.clone());
            let mut state = state(thread.index());
            while !stop.load(Ordering::Relaxed) {
                let at = next.fetch_add(1, Ordering::Relaxed);
                // The receiver hangs up when it has seen a reason to stop.
                if at >= jobs || done.send(job(&mut state, at)).is_err() {
                    break;
                }
            }
        });
        let kept = finished.into_iter().try_for_each(&mut keep);
        stop.store(kept.is_err(), Ordering::Relaxed);
        kept
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::rc::Rc;
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn results_are_in_order_for_any_number_of_threads() {
        let squares: Vec<usize> = (0..100).map(|n| n * n).collect();
        for threads in [0, 1, 2, 7, 200] {
            assert_eq!(in_parallel(100, threads, |n| n * n), squares, "{threads} threads");
            assert!(in_parallel(0, threads, |n| n).is_empty());
        }
    }

    #[test]
    fn a_job_that_ends_last_keeps_its_place() {
        let second_done = AtomicBool::new(false);
        let job = |at| {
            match at {
                0 => {
                    while !second_done.load(Ordering::Acquire) {
                        std::hint::spin_loop();
                    }
                }
                _ => second_done.store(true, Ordering::Release),
            }
            at
        };
        assert_eq!(in_parallel(2, 2, job), [0, 1]);
    }

    #[test]
    fn as_many_threads_work_as_were_asked_for() {
        // Five jobs that wait for each other end only on five threads; fewer jobs take fewer.
        let barrier = Barrier::new(5);
        let numbers = in_parallel_with(
            5,
            8,
            |thread| thread,
            |thread, _| {
                barrier.wait();
                *thread
            },
        );
        assert_eq!(numbers.into_iter().collect::<BTreeSet<_>>(), (0..5).collect());
    }

    #[test]
    fn a_team_does_each_job_once_again_and_again() {
        for threads in [1, 2, 5] {
            let team = Team::of(threads);
            assert_eq!(team.size(), threads);
            for (jobs, most) in [(0, 9), (1, 9), (100, 9), (100, 2), (100, 0)] {
                let done: Vec<AtomicUsize> = (0..jobs).map(|_| AtomicUsize::new(0)).collect();
                team.each(jobs, most, |at| {
                    done[at].fetch_add(1, Ordering::Relaxed);
                });
                assert!(done.iter().all(|count| count.load(Ordering::Relaxed) == 1));
            }
        }
        // Three jobs that wait for each other end only on three threads.
        let barrier = Barrier::new(3);
        Team::of(4).each(3, 3, |_| {
            barrier.wait();
        });
    }

    #[test]
    fn nothing_begins_after_an_error() {
        for threads in [1, 3] {
            let begun = AtomicUsize::new(0);
            let job = |(): &mut (), at| {
                begun.fetch_add(1, Ordering::Relaxed);
                at
            };
            let kept = as_they_finish(100_000, threads, |_| (), job, |_| Err("full"));
            assert_eq!(kept, Err("full"));
            assert!(begun.into_inner() <= 2 * WAITING, "jobs went on");
        }
    }

    #[test]
    fn whoever_listens_hears_of_each_job_once_and_not_of_those_within() {
        for threads in [1, 3] {
            let heard = Rc::new(RefCell::new(Vec::new()));
            let own = Rc::clone(&heard);
            let work = || {
                in_parallel(2, threads, |_| in_parallel(5, threads, |n| n));
                in_parallel(1, threads, |n| n);
            };
            observed(move |done, all| own.borrow_mut().push((done, all)), work);
            assert_eq!(heard.take(), [(0, 2), (1, 2), (2, 2), (2, 3), (3, 3)], "{threads}");
            in_parallel(4, threads, |n| n);
            assert!(heard.take().is_empty(), "nobody listens any more");
        }
    }

    #[test]
    fn work_that_nobody_waits_for_ends_on_all_threads() {
        for threads in [1, 3] {
            let given_up = Arc::new(AtomicBool::new(false));
            let own = Arc::clone(&given_up);
            let work = || {
                in_parallel(4, threads, |at| {
                    own.store(true, Ordering::Relaxed);
                    // Without an end this would go on for ever.
                    loop {
                        go_on();
                        std::hint::black_box(at);
                    }
                })
            };
            let ended: Option<Vec<()>> = unless_given_up(&given_up, work);
            assert_eq!(ended, None, "{threads}");
            assert_eq!(
                unless_given_up(&Arc::default(), || in_parallel(4, threads, |n| n)).unwrap(),
                [0, 1, 2, 3]
            );
            // What was given up is forgotten.
            go_on();
        }
    }

    #[test]
    #[should_panic(expected = "job 3 fails")]
    fn a_panic_reaches_the_caller() {
        in_parallel(8, 2, |at| assert!(at != 3, "job {at} fails"));
    }
}
