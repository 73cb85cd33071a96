use super::*;

fn plan(text: &str) -> Result<SweepPlan, Diagnostic> {
    let text = format!("schema = 1\nname = \"t\"\nscenario = \"paper\"\n{text}");
    SweepPlan::of(Source::built_in("plan.toml", &text), PathBuf::new(), &[])
}

#[test]
fn axes_cross_in_the_order_written_and_the_last_moves_fastest() {
    let plan = plan("[vary]\n\"b\" = [1, 2]\n\"a\" = [\"x\", \"y\", \"z\"]").unwrap();
    assert_eq!(plan.points(), 6);
    let at = |point| {
        let settings = plan.settings(point);
        settings.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
    };
    assert_eq!(at(0), ["b=1", "a=\"x\""]);
    assert_eq!(at(1), ["b=1", "a=\"y\""]);
    assert_eq!(at(5), ["b=2", "a=\"z\""]);
}

#[test]
fn ranges_are_linear_stepped_or_geometric_and_keep_their_unit() {
    let plan = plan(
        "[vary]\na = { from = 1, to = 2, steps = 3 }\nb = { from = 512, to = 4096, factor = 2 }\n\
         c = { from = \"100 Gb/s\", to = \"400 Gb/s\", step = 150 }",
    )
    .unwrap();
    let values = |axis: usize| {
        plan.axes[axis].steps.iter().map(|step| step[0].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(values(0), ["1.0", "1.5", "2.0"]);
    assert_eq!(values(1), ["512", "1024", "2048", "4096"]);
    assert_eq!(values(2), ["\"100 Gb/s\"", "\"250 Gb/s\"", "\"400 Gb/s\""]);
}

#[test]
fn keys_of_a_zip_move_together() {
    let plan = plan("[[zip]]\na = [1, 2]\nb = [3, 4]").unwrap();
    assert_eq!(plan.points(), 2);
    assert_eq!(plan.settings(1).iter().map(|s| s.1.to_string()).collect::<Vec<_>>(), ["2", "4"]);
    assert!(plan_error("[[zip]]\na = [1, 2]\nb = [3]").contains("`b` has 1 values"));
}

fn plan_error(text: &str) -> String {
    plan(text).unwrap_err().to_string()
}

#[test]
fn a_plan_that_cannot_be_meant_is_refused() {
    let huge = "[vary]\na = { from = 1, to = 1000, step = 1 }\nb = { from = 1, to = 1000, step = 1 }\n\
                c = { from = 1, to = 1000, step = 1 }";
    assert!(plan_error(huge).contains("cross to 1000000000 points"), "{}", plan_error(huge));
    assert!(plan_error("[vary]\na = []").contains("no value"));
    assert!(plan_error("[vary]\na = 3").contains("neither a list nor a range"));
    assert!(plan_error("[vary]\na = { from = 1, to = 5 }").contains("needs one of"));
    for steps in ["1", "100000000", "2.5"] {
        let error = plan_error(&format!("[vary]\na = {{ from = 1, to = 5, steps = {steps} }}"));
        let said = format!("`steps` is {steps}, not a whole number from 2 to 100000");
        assert!(error.contains(&said), "{error}");
    }
    assert!(plan_error("[vary]\na = { from = 1, to = 5, step = -1 }").contains("does not lead"));
    assert!(plan_error("[vary]\na = { from = 0, to = 5, factor = 2 }").contains("does not lead"));
    assert!(plan_error("[vary]\na = [1]\n[[zip]]\na = [1]").contains("varies twice"));
    assert!(plan_error("[wary]\na = [1]").contains("unknown key `wary`"));
}

#[test]
fn a_mistake_at_a_point_names_the_plan_and_the_setting() {
    let plan = plan("[vary]\n\"topology.nodes.nic.bandwidth\" = [\"1 GB/s\", \"fast\"]").unwrap();
    plan.scenario_at(0).unwrap();
    let message = plan.scenario_at(1).err().map(|m| m.to_string()).unwrap_or_default();
    assert!(message.starts_with("plan.toml"), "{message}");
    assert!(message.contains("nic.bandwidth=\"fast\""), "{message}");
}

#[test]
fn a_combination_that_does_not_go_together_is_told_from_a_mistake() {
    let text = "schema = 1\nname = \"t\"\nscenario = \"hybrid-ep\"\n[vary]\n\
                \"workload.exchange.library\" = [\"nccl\", \"hybrid-ep\"]\n\"workload.exchange.sms\" = [16, 32, 0]";
    let plan = SweepPlan::of(Source::built_in("plan.toml", text), PathBuf::new(), &[]).unwrap();
    let message = |point: usize| plan.scenario_at(point).err().map(|m| m.to_string());
    let together = "it runs with other values, and a sweep runs every combination";
    assert!(message(0).is_some_and(|told| told.contains(together)));
    assert!(message(5).is_some_and(|told| !told.contains(together)));
    assert_eq!(message(4), None);
}
