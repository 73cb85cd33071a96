use moesim::{gate::*, streams::Streams, table::Table};
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let t0 = std::time::Instant::now();
    let rec = recording::Recording::from_table(&Table::read(path.as_ref()).unwrap()).unwrap();
    let s = Streams::new(1);
    let (a, b) = rec.halves();
    for (train, test) in [(&a, &b), (&b, &a)] {
        let c = train.counts();
        let law = fit::fit(&c, 8, s).with_persistence_of(train, s);
        println!("fit {:?} {:?}", t0.elapsed(), law.persistence);
        let j = judge::judge(&law, &c, test, s);
        for x in &j.batches {
            println!(
                "B {} err {:.3} iid {:.3} peak {:?} ks {:.2} corr {:.2}/{:.2} cv {:.2}/{:.2}",
                x.seen.batch_tokens,
                x.peak_error(),
                x.independent_peak_error(),
                x.peak(),
                x.distance(),
                x.seen.correlation,
                x.modelled.correlation,
                x.seen.cv.iter().sum::<f64>() / 24.,
                x.modelled.cv.iter().sum::<f64>() / 24.
            );
        }
        for (g, p) in j.overlap.iter().chain(&j.depth) {
            println!("{g} {p:?} {:.3}", p.error());
        }
        println!("{:?}", t0.elapsed());
    }
}
