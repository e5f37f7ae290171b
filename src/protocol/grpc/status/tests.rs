use super::*;

type Fields<'a> = &'a [(&'a str, &'a str)];

const GRPC: (&str, &str) = ("content-type", "application/grpc");

#[test]
fn codes_are_their_numbers_and_back() {
    for (number, status) in Status::all().enumerate() {
        assert_eq!(usize::from(status.code()), number);
        assert_eq!(Status::from_code(u32::try_from(number).unwrap()), status);
        assert!((200..600).contains(&status.http()), "{}", status.name());
    }
    assert_eq!(Status::all().count(), 17);
    assert_eq!(Status::from_code(17), Status::Unknown);
    assert_eq!(Status::from_code(u32::MAX), Status::Unknown);
}

#[test]
fn trailers_say_how_it_ended() {
    check_trailers(&[("grpc-status", "0")], Status::Ok);
    check_trailers(&[("grpc-status", "14"), ("grpc-message", "no")], Status::Unavailable);
    check_trailers(&[("grpc-status", "99")], Status::Unknown);
    check_trailers(&[("grpc-status", "00")], Status::Unknown);
    check_trailers(&[("grpc-status", " 0")], Status::Unknown);
    check_trailers(&[("grpc-status", "")], Status::Unknown);
    check_trailers(&[("grpc-message", "no status")], Status::Unknown);
    check_trailers(&[], Status::Unknown);
}

#[test]
fn two_statuses_that_differ_are_not_ok() {
    check_trailers(&[("grpc-status", "0"), ("grpc-status", "0")], Status::Ok);
    check_trailers(&[("grpc-status", "5"), ("grpc-status", "0")], Status::Unknown);
}

#[test]
fn a_head_of_a_service_promises_messages() {
    check_opening(200, false, &[GRPC], Opening::Messages);
    check_opening(200, false, &[("content-type", "application/grpc+proto")], Opening::Messages);
    check_opening(200, false, &[("content-type", "Application/gRPC; a=b")], Opening::Messages);
}

#[test]
fn a_head_that_ends_the_stream_carries_the_outcome() {
    let fields = [GRPC, ("grpc-status", "12")];
    check_opening(200, true, &fields, Opening::Ended(Status::Unimplemented));
    // The service's own word counts even beside another HTTP status.
    check_opening(503, true, &fields, Opening::Ended(Status::Unimplemented));
}

#[test]
fn what_is_not_grpc_is_never_ok() {
    let unknown = Opening::NotGrpc(Status::Unknown);
    check_opening(200, true, &[GRPC], unknown);
    check_opening(200, false, &[], unknown);
    check_opening(200, false, &[("content-type", "text/html")], unknown);
    check_opening(200, false, &[("content-type", "application/grpcx")], unknown);
    for (http, status) in [
        (400, Status::Internal),
        (401, Status::Unauthenticated),
        (403, Status::PermissionDenied),
        (404, Status::Unimplemented),
        (429, Status::Unavailable),
        (502, Status::Unavailable),
        (503, Status::Unavailable),
        (504, Status::Unavailable),
        (500, Status::Unknown),
        (302, Status::Unknown),
    ] {
        check_opening(http, false, &[GRPC], Opening::NotGrpc(status));
    }
}

#[test]
fn resets_have_a_meaning() {
    for (code, status) in [
        (0x0, Status::Internal),
        (0x1, Status::Internal),
        (0x7, Status::Unavailable),
        (0x8, Status::Cancelled),
        (0xb, Status::ResourceExhausted),
        (0xc, Status::PermissionDenied),
        (0xff, Status::Internal),
    ] {
        assert_eq!(Status::from_reset(code), status, "{code:#x}");
    }
}

#[track_caller]
fn check_trailers(fields: Fields<'_>, status: Status) {
    assert_eq!(trailers(bytes(fields)), status);
}

#[track_caller]
fn check_opening(http: u16, end_stream: bool, fields: Fields<'_>, want: Opening) {
    assert_eq!(opening(http, end_stream, bytes(fields)), want);
}

fn bytes(fields: Fields<'_>) -> impl Iterator<Item = (&[u8], &[u8])> {
    fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
}
