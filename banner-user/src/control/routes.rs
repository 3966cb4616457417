//! What each path of the control API does: reads the request, asks the daemon's loop, writes the answer.

use axum::{
    Json, Router,
    body::{Bytes, HttpBody},
    extract::{
        DefaultBodyLimit, FromRequest, Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use super::{
    Reply, Request, listing,
    protocol::{
        BanRequest, BansQuery, ErrorBody, ErrorKind, FuseRequest, PAGE_MAX, TRIPPED_MAX, UnbanRequest, parse_address,
    },
    queue::{ANSWERED_WITHIN, Asker, RELOADED_WITHIN},
    server::{BODY_MAX, IDLE_MAX},
};

type Daemon = State<Asker>;

/// The API.
pub(super) fn router(daemon: Asker) -> Router {
    Router::new()
        .route("/v1/status", get(|daemon: Daemon| ask(daemon, Request::Status)))
        .route("/v1/bans", get(bans))
        .route("/v1/why/{address}", get(why))
        .route("/v1/ban", post(ban))
        .route("/v1/unban", post(unban))
        .route("/v1/fuse", post(fuse))
        .route("/v1/reload", post(reload))
        .route("/v1/detach", post(|daemon: Daemon| ask(daemon, Request::Detach)))
        .fallback(async |uri: Uri| {
            ErrorBody::new(ErrorKind::NotFound, format!("there is no {}", uri.path())).remedy(
                "the paths are /v1/status, /v1/bans, /v1/why/ADDRESS, /v1/ban, /v1/unban, /v1/fuse, /v1/reload and /v1/detach",
            )
        })
        .method_not_allowed_fallback(async || {
            ErrorBody::new(ErrorKind::MethodNotAllowed, "this path has no such method")
                .remedy("GET reads (status, bans, why), POST changes (ban, unban, fuse, reload, detach)")
        })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(daemon)
}

/// What everybody gets who may not talk.
pub(super) fn forbidden() -> Router {
    Router::new().fallback(async || {
        ErrorBody::new(ErrorKind::Forbidden, "only root and the daemon's own user may talk to it").remedy("use sudo")
    })
}

async fn bans(State(daemon): Daemon, query: Result<Query<BansQuery>, QueryRejection>) -> Result<Response, ErrorBody> {
    let Query(query) = query.map_err(|rejection| invalid(&rejection.body_text()))?;
    if query.limit.is_some_and(|limit| !(1..=PAGE_MAX).contains(&limit)) {
        return Err(ErrorBody::new(ErrorKind::Invalid, format!("a page holds 1 to {PAGE_MAX} bans"))
            .remedy("ask for the next page with `after`, the `next` of this one"));
    }
    let page = listing::page(&daemon, &query).await?;
    Ok(([(CONTENT_TYPE, "application/json")], page).into_response())
}

async fn why(daemon: Daemon, address: Result<Path<String>, PathRejection>) -> Result<Response, ErrorBody> {
    let Path(address) = address.map_err(|rejection| invalid(&rejection.body_text()))?;
    let address = parse_address(&address).map_err(|error| invalid(&error))?;
    ask(daemon, |reply| Request::Why(address, reply)).await
}

async fn ban(daemon: Daemon, Body(request): Body<BanRequest>) -> Result<Response, ErrorBody> {
    ask(daemon, |reply| Request::Ban(request, reply)).await
}

async fn unban(daemon: Daemon, Body(request): Body<UnbanRequest>) -> Result<Response, ErrorBody> {
    ask(daemon, |reply| Request::Unban(request, reply)).await
}

async fn fuse(daemon: Daemon, Body(request): Body<FuseRequest>) -> Result<Response, ErrorBody> {
    if let FuseRequest::Trip { seconds } = request
        && !(1..=TRIPPED_MAX).contains(&seconds)
    {
        return Err(ErrorBody::new(ErrorKind::Invalid, format!("a fuse is tripped for 1 to {TRIPPED_MAX} seconds")));
    }
    ask(daemon, |reply| Request::Fuse(request, reply)).await
}

async fn reload(State(daemon): Daemon) -> Result<Response, ErrorBody> {
    daemon.ask(Request::Reload, RELOADED_WITHIN).await.map(|answer| Json(answer).into_response())
}

async fn ask<T: Serialize>(
    State(daemon): Daemon,
    request: impl FnOnce(Reply<T>) -> Request,
) -> Result<Response, ErrorBody> {
    daemon.ask(request, ANSWERED_WITHIN).await.map(|answer| Json(answer).into_response())
}

/// A JSON body, whatever content type it claims (curl's `-d` claims a form).
struct Body<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ErrorBody;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, ErrorBody> {
        let too_large = || ErrorBody::new(ErrorKind::TooLarge, format!("the body is longer than {BODY_MAX} bytes"));
        if request.body().size_hint().lower() > BODY_MAX as u64 {
            return Err(too_large());
        }
        let bytes = match timeout(IDLE_MAX, Bytes::from_request(request, state)).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => return Err(too_large()),
            Ok(Err(rejection)) => return Err(invalid(&rejection)),
            Err(_) => return Err(ErrorBody::new(ErrorKind::Timeout, "the body did not arrive in time")),
        };
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            ErrorBody::new(ErrorKind::Invalid, "the body is not the JSON that this path takes")
                .because(error.to_string())
        })
    }
}

fn invalid(error: &impl ToString) -> ErrorBody {
    ErrorBody::new(ErrorKind::Invalid, error.to_string())
}

impl IntoResponse for ErrorBody {
    fn into_response(self) -> Response {
        let status = match self.kind {
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::Forbidden => StatusCode::FORBIDDEN,
            ErrorKind::NotFound | ErrorKind::NotBanned => StatusCode::NOT_FOUND,
            ErrorKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            ErrorKind::Timeout => StatusCode::REQUEST_TIMEOUT,
            ErrorKind::Refused => StatusCode::CONFLICT,
            ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::Configuration => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::Kernel => StatusCode::INTERNAL_SERVER_ERROR,
            ErrorKind::Starting | ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Unresponsive => StatusCode::GATEWAY_TIMEOUT,
        };
        (status, Json(self)).into_response()
    }
}
