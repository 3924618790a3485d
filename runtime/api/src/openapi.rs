//! The OpenAPI document: written by the handlers, with what holds for all of them added here. The security
//! of each operation comes from the table in `access`, the list of codes from the one in `error`.

use axum::http::Method;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ComponentsBuilder, Schema};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, Info, OpenApi, OpenApiBuilder, PathItem, Ref, RefOr, Response, ResponseBuilder, Tag,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use crate::access::{self, Access};
use crate::dto::Problem;
use crate::error::Code;
use crate::router;

const SCHEME: &str = "bearer";

/// What the document says of the API as a whole.
pub(crate) fn head() -> OpenApi {
    let mut info = Info::new("Weir", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "WebAssembly transforms on NATS streams, exactly once. Errors are problems (RFC 9457) with a stable \
         `code`. Requests may carry `x-request-id`; every answer does. Within `/v1` answers may gain new \
         members: pass over those that you do not know."
            .to_owned(),
    );
    let tags = [
        ("modules", "WebAssembly binaries, named by the SHA-256 of their bytes."),
        ("tags", "Mutable names for modules, resolved when a plan is made."),
        ("pipelines", "Source, steps and sink: what runs."),
        ("shadows", "Candidates that are tried beside the plan in force."),
        ("trace", "Where an output comes from, and what became of an event."),
        ("node", "This node."),
    ];
    let tags = tags.map(|(name, description)| {
        let mut tag = Tag::new(name);
        tag.description = Some(description.to_owned());
        tag
    });
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A token of the node's tokens file. Its role is `read`, `operate` or `admin`; each may do what \
             the ones before it may. A node that listens on loopback only may have no \
             tokens and ask for none.",
        ))
        .build();
    let components = ComponentsBuilder::new().security_scheme(SCHEME, SecurityScheme::Http(bearer)).build();
    OpenApiBuilder::new().info(info).tags(Some(tags)).components(Some(components)).build()
}

/// The whole document, as it is served: indented JSON with a line feed at the end.
pub(crate) fn document() -> String {
    let mut document = router::documented().into_openapi();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            complete(operation, &method, path);
        }
    }
    // In place of the plain one that the handlers bring along.
    if let Some(components) = &mut document.components {
        components.schemas.insert(Problem::name().into_owned(), problem_schema());
    }
    let mut text = serde_json::to_string_pretty(&document).expect("the document has only strings as keys");
    text.push('\n');
    text
}

/// The operations of a path, with their methods.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let all = [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Adds the security, and the problem as what every error looks like.
fn complete(operation: &mut Operation, method: &Method, path: &str) {
    let access = access::find(method, path).map(|route| route.access);
    operation.security = Some(match access {
        Some(Access::Open) => vec![],
        Some(Access::AtLeast(role)) => vec![SecurityRequirement::new(SCHEME, [role.as_str()])],
        None => vec![SecurityRequirement::new(SCHEME, ["admin"])],
    });
    let responses = &mut operation.responses.responses;
    for (status, response) in responses.iter_mut() {
        if let (true, RefOr::T(response)) = (status.starts_with(['4', '5']), response) {
            response.content.extend(problem("").content);
        }
    }
    responses.insert("default".to_owned(), RefOr::T(problem("Any other error.")));
}

fn problem(description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
    ResponseBuilder::new().description(description).content("application/problem+json", content).build()
}

/// The schema of a problem, whose `code` says which codes there are.
fn problem_schema() -> RefOr<Schema> {
    let mut schema = Problem::schema();
    let codes: Vec<String> =
        Code::ALL.iter().map(|code| format!("- `{code}` ({}): {}", code.status(), code.title())).collect();
    let description = format!(
        "What kind of problem it is, for programs: stable. New codes may come.\n\n{}",
        codes.join("\n")
    );
    describe_code(&mut schema, &description);
    schema
}

fn describe_code(schema: &mut RefOr<Schema>, description: &str) {
    match schema {
        RefOr::T(Schema::Object(object)) => {
            if let Some(RefOr::T(Schema::Object(code))) = object.properties.get_mut("code") {
                code.description = Some(description.to_owned());
            }
        }
        // A flattened member makes it a list of parts.
        RefOr::T(Schema::AllOf(all)) => {
            all.items.iter_mut().for_each(|part| describe_code(part, description));
        }
        _ => {}
    }
}
