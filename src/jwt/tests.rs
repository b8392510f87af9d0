//! Examples of RFC 7515 and RFC 8037, and tokens that are wrong in one thing each.

use std::path::Path;

use ring::hmac;

use super::*;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn settings(path: &Path) -> config::Jwt {
    config::Jwt {
        jwks: None,
        keys: vec![],
        secret: Some(path.to_owned()),
        claim: "sub".into(),
        issuer: String::new(),
        audience: String::new(),
        leeway: std::time::Duration::ZERO,
    }
}

fn token(header: &str, claims: &str) -> String {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

const HS256: &str = r#"{"alg":"HS256"}"#;
/// In the year 2100.
const LATER: i64 = 4_102_444_800;

fn claims(more: &str) -> String {
    format!(r#"{{"sub":"sip:a@b","exp":{LATER}{more}}}"#)
}

#[test]
fn a_token_names_its_user_until_it_expires_and_a_wrong_one_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, [SECRET, b"\n"].concat()).unwrap();
    let jwt = Jwt::load(&settings(&path)).unwrap().unwrap();
    let good = token(HS256, &claims(""));
    let verified = jwt.verify(good.as_bytes()).unwrap();
    assert_eq!((verified.user.as_str(), verified.until), ("sip:a@b", LATER));
    assert!(jwt.keys().contains(&verified.key));
    let forged = format!("{}x.{}", &good[..good.rfind('.').unwrap()], good.rsplit('.').next().unwrap());
    for (bad, why) in [
        (forged, "signature"),
        (token(r#"{"alg":"none"}"#, &claims("")), "no JWT that can be read"),
        (token(r#"{"alg":"HS512"}"#, &claims("")), "no key fits"),
        (token(r#"{"alg":"HS256","crit":["b64"]}"#, &claims("")), "extensions"),
        (token(r#"{"alg":"RS256"}"#, &claims("")), "no key fits"),
        (token(HS256, r#"{"sub":"a","exp":1}"#), "expired"),
        (token(HS256, r#"{"sub":"a"}"#), "lacks a claim"),
        (token(HS256, &format!(r#"{{"sub":"a","exp":"{LATER}"}}"#)), ""),
        (token(HS256, &claims(&format!(r#","nbf":{LATER}"#))), "not valid yet"),
        (token(HS256, &format!(r#"{{"exp":{LATER}}}"#)), "claim that names the user ID"),
        (token(HS256, &format!(r#"{{"sub":7,"exp":{LATER}}}"#)), ""),
        (token(HS256, "[]"), "cannot be read"),
        ("a.b.c".into(), "no JWT"),
        (format!("{}.{}.c", "a".repeat(LONGEST), "b"), "too long"),
    ] {
        let said = jwt.verify(bad.as_bytes()).expect_err(&bad);
        assert!(said.contains(why), "{bad}: {said}");
    }
}

#[test]
fn issuer_audience_and_another_claim_are_asked_for_where_they_are_set() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, SECRET).unwrap();
    let set =
        config::Jwt { claim: "device".into(), issuer: "cloud".into(), audience: "papcast".into(), ..settings(&path) };
    let jwt = Jwt::load(&set).unwrap().unwrap();
    let all = r#","device":"meter","iss":"cloud","aud":["x","papcast"]"#;
    assert_eq!(jwt.verify(token(HS256, &claims(all)).as_bytes()).unwrap().user, "meter");
    for (without, why) in [("\"iss\":\"cloud\",", "lacks"), (",\"aud\":[\"x\",\"papcast\"]", "lacks")] {
        let said = jwt.verify(token(HS256, &claims(&all.replace(without, ""))).as_bytes()).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
    let other = jwt.verify(token(HS256, &claims(&all.replace("cloud", "moon"))).as_bytes());
    assert!(other.unwrap_err().contains("issuer"));
}

/// The keys of RFC 7515 A.2 and A.3 and RFC 8037 A.2, with tokens that those examples signed. Their claims lack what papcast asks
/// for: that this is said, and not that the signature is wrong, shows that the signature was right.
#[test]
fn the_examples_of_the_specifications_verify() {
    let rsa = r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#;
    let rsa_token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let ec = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    let ec_token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let ed = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let ed_token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jwks");
    let other = r#"{"kty":"EC","crv":"P-384","x":"AA","y":"AA"},{"kty":"new"}"#;
    std::fs::write(&path, format!(r#"{{"keys":[{other},{rsa},{ec},{ed}]}}"#)).unwrap();
    let set = config::Jwt { jwks: Some(path.clone()), secret: None, ..settings(&path) };
    let jwt = Jwt::load(&set).unwrap().unwrap();
    assert!(jwt.verify(rsa_token.as_bytes()).unwrap_err().contains("expired"));
    assert!(jwt.verify(ec_token.as_bytes()).unwrap_err().contains("expired"));
    assert!(jwt.verify(ed_token.as_bytes()).unwrap_err().contains("cannot be read"), "its payload is no JSON");
    let broken = rsa_token.replace("cC4h", "cC4i");
    assert!(jwt.verify(broken.as_bytes()).unwrap_err().contains("signature"));
    // A public key is no secret: the classic confusion.
    assert!(jwt.verify(token(HS256, &claims("")).as_bytes()).unwrap_err().contains("no key fits"));
}

#[test]
fn a_faulty_file_is_named_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, "short\n").unwrap();
    let error = Jwt::load(&settings(&path)).unwrap_err().to_string();
    assert!(error.starts_with("jwt.secret: ") && error.contains("32 bytes at least, this one has 5"), "{error}");
    std::fs::write(&path, SECRET).unwrap();
    let jwt = Jwt::load(&settings(&path)).unwrap().unwrap();
    std::fs::write(&path, "short\n").unwrap();
    assert!(jwt.reload().is_err());
    assert!(jwt.verify(token(HS256, &claims("")).as_bytes()).is_ok());
    let set = config::Jwt { keys: vec![path.clone()], secret: None, ..settings(&path) };
    assert!(Jwt::load(&set).unwrap_err().to_string().contains("no public key"));
    let set = config::Jwt { jwks: Some(path.clone()), secret: None, ..settings(&path) };
    assert!(Jwt::load(&set).unwrap_err().to_string().contains("no JSON Web Key Set"));
}

#[test]
fn a_file_may_have_several_public_keys_and_no_private_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.pem");
    let pair = || {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        (pair.public_key_pem(), pair.serialize_pem())
    };
    let ((old, _), (new, private)) = (pair(), pair());
    std::fs::write(&path, format!("{old}\n{new}")).unwrap();
    let set = config::Jwt { keys: vec![path.clone()], secret: None, ..settings(&path) };
    let jwt = Jwt::load(&set).unwrap().unwrap();
    assert_eq!(jwt.keys().len(), 2);
    std::fs::write(&path, &new).unwrap();
    assert_eq!(jwt.reload().unwrap().len(), 1, "the old one verifies nothing any more");
    std::fs::write(&path, private).unwrap();
    assert!(Jwt::load(&set).unwrap_err().to_string().contains("there is a private key in it"));
}
