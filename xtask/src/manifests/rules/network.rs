//! Networks: nothing by default, and every opening says to whom and on which port.
//!
//! Invariant: no address outside of the private network 10.0.0.0/8 is ever opened, to ClickHouse or to anything else.

use serde_json::{Value, json};

use super::super::yaml::{list, name, of_kind, text};

const PRIVATE: &str = "10.0.0.0/8";
/// ClickHouse's HTTP ports, without and with TLS.
const CLICKHOUSE: [u64; 2] = [8123, 8443];

pub(super) fn findings(objects: &[Value]) -> Vec<String> {
    let mut findings = Vec::new();
    let closed = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
    if !of_kind(objects, "NetworkPolicy").any(|policy| policy.get("spec") == Some(&closed)) {
        findings.push("no NetworkPolicy denies by default".to_owned());
    }
    if !of_kind(objects, "NetworkPolicy").any(opens_clickhouse) {
        findings.push(format!("no NetworkPolicy lets nova reach ClickHouse in {PRIVATE}"));
    }
    for policy in of_kind(objects, "NetworkPolicy") {
        for (direction, peers) in [("ingress", "/from"), ("egress", "/to")] {
            for rule in list(policy, &format!("/spec/{direction}")) {
                findings.extend(of_rule(&format!("{} {direction}", name(policy)), rule, peers));
            }
        }
    }
    findings
}

fn of_rule(place: &str, rule: &Value, peers: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let peers = list(rule, peers);
    // An empty list stands for everybody.
    if peers.is_empty() || peers.contains(&json!({})) {
        findings.push(format!("{place}: open to everybody"));
    }
    let among_themselves = peers.iter().all(|peer| peer.get("podSelector").is_some());
    if list(rule, "/ports").is_empty() && !among_themselves {
        findings.push(format!("{place}: open on every port"));
    }
    for block in peers.iter().filter_map(|peer| peer.get("ipBlock")) {
        let cidr = text(block, "/cidr");
        if cidr != PRIVATE {
            findings.push(format!("{place}: {cidr} is not {PRIVATE}"));
        }
    }
    findings
}

/// Whether the policy is the one that opens ClickHouse to nova.
fn opens_clickhouse(policy: &Value) -> bool {
    let nova =
        policy.pointer("/spec/podSelector/matchLabels") == Some(&json!({"app.kubernetes.io/name": "nova"}));
    let private = json!([{"ipBlock": {"cidr": PRIVATE}}]);
    let opens = |rule: &Value| {
        let ports = list(rule, "/ports").iter().filter_map(|port| port.get("port")?.as_u64());
        rule.get("to") == Some(&private) && ports.eq(CLICKHOUSE)
    };
    nova && list(policy, "/spec/egress").iter().any(opens)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{after, committed};
    use super::*;

    fn objects() -> Vec<Value> {
        committed(&[
            "base/network.yaml",
            "components/kafka/network.yaml",
            "components/clickhouse/network.yaml",
        ])
    }

    #[test]
    fn the_committed_policies_keep_the_rules() {
        assert_eq!(findings(&objects()), Vec::<String>::new());
    }

    #[test]
    fn clickhouse_is_never_the_internet() {
        let name = "NetworkPolicy/nova-egress-clickhouse";
        let found = after(findings, &objects(), name, "/spec/egress/0/to/0/ipBlock/cidr", json!("0.0.0.0/0"));
        assert_eq!(
            found,
            [
                "no NetworkPolicy lets nova reach ClickHouse in 10.0.0.0/8",
                "NetworkPolicy/nova-egress-clickhouse egress: 0.0.0.0/0 is not 10.0.0.0/8",
            ]
        );
    }

    #[test]
    fn each_opening_names_peers_and_ports() {
        let objects = objects();
        let postgres = "NetworkPolicy/nova-egress-postgres";
        let found = after(findings, &objects, postgres, "/spec/egress/0/to", json!([]));
        assert_eq!(found, ["NetworkPolicy/nova-egress-postgres egress: open to everybody"]);
        let found = after(findings, &objects, postgres, "/spec/egress/0/ports", json!([]));
        assert_eq!(found, ["NetworkPolicy/nova-egress-postgres egress: open on every port"]);
        let found =
            after(findings, &objects, "NetworkPolicy/default-deny", "/spec/policyTypes", json!(["Ingress"]));
        assert_eq!(found, ["no NetworkPolicy denies by default"]);
    }
}
