//! Solves a problem part by part, on as many threads as given.

use super::choice::{Choice, Engine, KnownError, ROUNDING, SMALL, certificate};
use super::drain::{Drained, drain};
use super::engines::dense::{Dense, EMPTY};
use super::engines::dense_exact::solve_dense_exactly;
use super::engines::generic::{LocalLinks, solve_exactly};
use super::engines::quantised::solve_in_steps;
use super::engines::quantised_dense::{Steps, solve_dense_in_steps};
use super::latest::{self, Ends};
use super::parts::{Part, Parts};
use super::reduce::binding_links;
use super::{Problem, Stuck};
use crate::base::threads::in_parallel_with;
use crate::base::units::{FlowId, LinkId};

/// The most flows of a part that is solved beside another.
const FEW: usize = 128 * 128;
/// Parts that are solved before others are left out, where only the makespan is wanted.
const SOLVED_FIRST: usize = 8;

/// Nothing but rounding.
const EXACT: KnownError = KnownError::Proven(ROUNDING);

/// When every flow ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// When each flow ends, in seconds; empty where only the makespan is wanted.
    pub finish_s: Vec<f64>,
    /// When the last flow ends, in seconds.
    pub makespan_s: f64,
    /// The least exact engine that ran on some part.
    pub engine: Engine,
    /// Relative error: of every finish time, or of the makespan alone for the closed form.
    pub error: KnownError,
    /// Parts that share no link.
    pub parts: usize,
    /// Parts solved; the others equal one of these or, where only the makespan is wanted, cannot end last.
    pub distinct_parts: usize,
    /// How often rates were computed, over all parts.
    pub fillings: u64,
    /// What drains each link, where that was computed.
    pub drained: Option<Drained>,
}

/// Finish times of a part's flows, and how they were found.
struct Solved {
    part: usize,
    finish_s: Vec<f64>,
    engine: Engine,
    fillings: u64,
}

/// Finds when every flow ends.
///
/// The closed form takes capacities as they are at first: of a problem with changes it gives no more than what its links
/// carry at that rate, with an error that is not known.
///
/// # Errors
/// If some flow never ends.
///
/// # Panics
/// If `choice.epsilon` is not between zero and one, or there is no thread.
pub fn solve(problem: &Problem, choice: &Choice) -> Result<Solution, Stuck> {
    let epsilon = choice.epsilon;
    assert!(epsilon > 0.0 && epsilon < 1.0, "an error of {epsilon}");
    assert!(choice.threads > 0, "no thread to work on");
    let only = choice.makespan_only && choice.engine.is_none();
    let drained = (only || choice.engine == Some(Engine::ClosedForm)).then(|| drain(problem));
    if let Some(drained) = &drained
        && let Some(solution) = closed_form(problem, choice, drained)?
    {
        return Ok(solution);
    }
    let kept = binding_links(problem);
    let parts = Parts::of(problem, &kept);
    if let Some(drained) = drained {
        return latest_end(problem, &kept, &parts, drained, choice);
    }
    let same_as = if parts.len() > 1 {
        parts.representatives(problem, &kept)
    } else {
        (0..parts.len()).collect()
    };
    let mut order: Vec<usize> = (0..parts.len()).filter(|&part| same_as[part] == part).collect();
    order.sort_by_key(|&part| std::cmp::Reverse(parts.flows(part).len()));
    let solved = solve_parts(problem, &kept, &parts, &order, choice)?;
    let mut solution = gather(problem, &parts, &same_as, solved, choice);
    if choice.makespan_only {
        solution.finish_s = Vec::new();
    }
    Ok(solution)
}

/// The closed form, where it is asked for or may be taken.
fn closed_form(
    problem: &Problem,
    choice: &Choice,
    drained: &Drained,
) -> Result<Option<Solution>, Stuck> {
    let certificate = certificate(problem, drained);
    if choice.engine.is_none() && !certificate.known_error().within(choice.epsilon) {
        return Ok(None);
    }
    let ends = (0..problem.flows()).map(|flow| drained.finish_s(problem, flow));
    let (finish_s, makespan_s) = if choice.makespan_only {
        (Vec::new(), ends.clone().fold(0.0, f64::max))
    } else {
        let finish_s: Vec<f64> = ends.clone().collect();
        let makespan_s = makespan_of(&finish_s);
        (finish_s, makespan_s)
    };
    if !makespan_s.is_finite()
        && let Some(flow) = ends.clone().position(|finish| !finish.is_finite())
    {
        let down = |link: &&LinkId| problem.capacities()[link.index()] <= 0.0;
        let link = problem.route(flow).iter().find(down).copied().unwrap_or(LinkId(0));
        return Err(Stuck { flow: FlowId(flow as u32), link });
    }
    Ok(Some(Solution {
        makespan_s,
        finish_s,
        engine: Engine::ClosedForm,
        error: certificate.known_error(),
        parts: 1,
        distinct_parts: 1,
        fillings: 1,
        drained: Some(drained.clone()),
    }))
}

/// The makespan alone: only parts that may end last are solved.
fn latest_end(
    problem: &Problem,
    kept: &[bool],
    parts: &Parts,
    drained: Drained,
    choice: &Choice,
) -> Result<Solution, Stuck> {
    let ends = latest::ends(problem, kept, parts, &drained);
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by(|&a, &b| ends[b].earliest_s.total_cmp(&ends[a].earliest_s).then(a.cmp(&b)));
    let (first, others) = order.split_at(order.len().min(SOLVED_FIRST));
    let mut solved = solve_parts(problem, kept, parts, first, choice)?;
    let starts = (0..problem.flows()).map(|flow| problem.start_s(flow)).fold(0.0, f64::max);
    let latest = |solved: &[Solved]| {
        solved.iter().map(|part| makespan_of(&part.finish_s)).fold(starts, f64::max)
    };
    let known = latest(&solved);
    let last = |part: &usize| {
        let Ends { latest_s, .. } = ends[*part];
        latest_s > known
    };
    let others: Vec<usize> = others.iter().copied().filter(last).collect();
    solved.extend(solve_parts(problem, kept, parts, &others, choice)?);
    let engine = solved.iter().map(|part| part.engine).max().unwrap_or(Engine::Exact);
    let exact = engine == Engine::Exact && solved.len() == parts.len();
    Ok(Solution {
        makespan_s: latest(&solved),
        finish_s: Vec::new(),
        engine,
        error: if exact { EXACT } else { KnownError::Aimed(choice.epsilon) },
        parts: parts.len(),
        distinct_parts: solved.len(),
        fillings: solved.iter().map(|part| part.fillings).sum(),
        drained: Some(drained),
    })
}

fn makespan_of(finish_s: &[f64]) -> f64 {
    finish_s.iter().copied().fold(0.0, f64::max)
}

fn solve_parts(
    problem: &Problem,
    kept: &[bool],
    parts: &Parts,
    order: &[usize],
    choice: &Choice,
) -> Result<Vec<Solved>, Stuck> {
    let jobs = jobs(parts, order, choice);
    let results: Vec<Vec<Result<Solved, Stuck>>> = in_parallel_with(
        jobs.len(),
        choice.threads,
        |_| Space::new(kept.len()),
        |space, at| {
            let part =
                |&number: &usize| (number, Part { problem, flows: parts.flows(number), kept });
            if let [a, b] = jobs[at]
                && let Some(both) = solve_two(part(a), part(b), choice, space)
            {
                return both.map(Ok).into();
            }
            let solve = |number| {
                let (number, part) = part(number);
                solve_part(number, &part, choice, space)
            };
            jobs[at].iter().map(solve).collect()
        },
    );
    let mut results: Vec<Result<Solved, Stuck>> = results.into_iter().flatten().collect();
    // Whoever solved them, the first stuck flow is reported, and sums are in the order of parts.
    results.sort_by_key(|result| match result {
        Ok(solved) => solved.part,
        Err(stuck) => stuck.flow.index(),
    });
    if let Some(Err(stuck)) = results.iter().find(|result| result.is_err()) {
        return Err(*stuck);
    }
    Ok(results.into_iter().flatten().collect())
}

/// Which parts are solved together: two at a time of those that [`solve_two`] may solve, where there are many.
fn jobs<'a>(parts: &Parts, order: &'a [usize], choice: &Choice) -> Vec<&'a [usize]> {
    let small = |&part: &usize| {
        let flows = parts.flows(part).len();
        engine_of(flows, choice) == Engine::Quantised && flows <= FEW
    };
    let pairs = order.iter().filter(|part| small(part)).count() / 2;
    if pairs < 2 * choice.threads {
        return order.chunks(1).collect();
    }
    order
        .chunk_by(|a, b| small(a) == small(b))
        .flat_map(|run| run.chunks(if small(&run[0]) { 2 } else { 1 }))
        .collect()
}

const fn engine_of(flows: usize, choice: &Choice) -> Engine {
    match choice.engine {
        Some(engine) => engine,
        None if flows <= SMALL => Engine::Exact,
        None => Engine::Quantised,
    }
}

/// Two parts of the shape of an all-to-all, in steps side by side; nothing if one has not that shape.
fn solve_two(
    a: (usize, Part),
    b: (usize, Part),
    choice: &Choice,
    space: &mut Space,
) -> Option<[Solved; 2]> {
    let [(a, part_a), (b, part_b)] = [a, b];
    if [&part_a, &part_b].iter().any(|part| part.route(0).next().is_none()) {
        return None;
    }
    let (dense_a, dense_b) =
        (Dense::of(&part_a, &mut space.slot)?, Dense::of(&part_b, &mut space.slot)?);
    let mut finish_s = [part_a.len(), part_b.len()].map(|flows| vec![f64::NAN; flows]);
    let [finish_a, finish_b] = &mut finish_s;
    let mut steps = [
        Steps::of(&part_a, &dense_a, choice.epsilon, finish_a),
        Steps::of(&part_b, &dense_b, choice.epsilon, finish_b),
    ];
    solve_dense_in_steps(&mut steps);
    let fillings = steps.map(|steps| steps.fillings);
    let [finish_a, finish_b] = finish_s;
    let solved =
        |part, finish_s, fillings| Solved::new(part, finish_s, Engine::Quantised, fillings);
    Some([solved(a, finish_a, fillings[0]), solved(b, finish_b, fillings[1])])
}

impl Solved {
    fn new(part: usize, finish_s: Vec<f64>, engine: Engine, fillings: u64) -> Self {
        let unfinished = finish_s.iter().filter(|finish| finish.is_nan()).count();
        assert!(unfinished == 0, "{unfinished} of {} flows never ended", finish_s.len());
        Self { part, finish_s, engine, fillings }
    }
}

/// Space for every link, used by one part after another.
struct Space {
    slot: Vec<u32>,
    local: Vec<u32>,
}

impl Space {
    fn new(links: usize) -> Self {
        Self { slot: vec![EMPTY; links], local: vec![0; links] }
    }
}

fn solve_part(
    number: usize,
    part: &Part,
    choice: &Choice,
    space: &mut Space,
) -> Result<Solved, Stuck> {
    let mut finish_s = vec![f64::NAN; part.len()];
    let mut finish = |flow: u32, at: f64| finish_s[flow as usize] = at;
    let engine = engine_of(part.len(), choice);
    let fillings = if part.route(0).next().is_none() {
        // Nothing binds a flow by itself but its ceiling.
        for flow in 0..part.len() as u32 {
            finish(flow, part.start_s(flow) + part.bytes(flow) / part.ceiling(flow));
        }
        0
    } else if let Some(dense) = Dense::of(part, &mut space.slot) {
        match engine {
            Engine::Quantised => {
                let mut steps = [Steps::of(part, &dense, choice.epsilon, &mut finish_s)];
                solve_dense_in_steps(&mut steps);
                steps[0].fillings
            }
            _ => solve_dense_exactly(part, &dense, &mut finish),
        }
    } else {
        let links = LocalLinks::number(part, &mut space.local);
        match engine {
            Engine::Quantised => solve_in_steps(part, &links, choice.epsilon, &mut finish)?,
            _ => solve_exactly(part, &links, &mut finish)?,
        }
    };
    Ok(Solved::new(number, finish_s, engine, fillings))
}

fn gather(
    problem: &Problem,
    parts: &Parts,
    same_as: &[usize],
    solved: Vec<Solved>,
    choice: &Choice,
) -> Solution {
    let mut place = vec![usize::MAX; parts.len()];
    for (n, part) in solved.iter().enumerate() {
        place[part.part] = n;
    }
    // A flow without bytes ends when it starts.
    let mut finish_s: Vec<f64> = (0..problem.flows()).map(|flow| problem.start_s(flow)).collect();
    for (part, &same) in same_as.iter().enumerate() {
        let times = &solved[place[same]].finish_s;
        for (&flow, &time) in parts.flows(part).iter().zip(times) {
            finish_s[flow as usize] = time;
        }
    }
    let engine = solved.iter().map(|part| part.engine).max().unwrap_or(Engine::Exact);
    Solution {
        makespan_s: makespan_of(&finish_s),
        finish_s,
        engine,
        error: match engine {
            Engine::Quantised => KnownError::Aimed(choice.epsilon),
            _ => EXACT,
        },
        parts: parts.len(),
        distinct_parts: solved.len(),
        fillings: solved.iter().map(|part| part.fillings).sum(),
        drained: None,
    }
}
