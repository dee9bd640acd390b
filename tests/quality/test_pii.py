"""`pii` by patterns: keys, numbers of persons, phones in forms of many countries, and numbers that are none of these."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from datafast.quality.pii import PiiStage

DRAWN = "k7Qz9LmX2vBt4RnY8sWd"  # what keys are made of here, so that no search for leaked keys finds them


class Row(BaseModel):
    text: str


def dropped(text: str) -> str:
    """The reason why a row with this text is dropped; empty if it is kept."""
    return PiiStage().decide(Row(text=text), None).reason  # type: ignore[arg-type]


def masked(text: str) -> str:
    fields = PiiStage(action="mask").decide(Row(text=text), None).fields  # type: ignore[arg-type]
    return str(fields.get("text", text))


@pytest.mark.parametrize(
    "key",
    [
        "shpat_" + "0123456789abcdef" * 2,
        "dop_v1_" + "0123456789abcdef" * 4,
        "npm_" + DRAWN * 2,
        "glptt-" + DRAWN,
        "GOCSPX-" + DRAWN,
        "6849008489:AA" + DRAWN + DRAWN[:13],
        "hvs." + DRAWN + DRAWN[:8],
        "gsk_" + DRAWN * 3,
        "dapi" + "0123456789abcdef" * 2,
        "https://hooks.slack.com/services/T01ABCDEF/B01ABCDEF/" + DRAWN,
        f"AWS_SECRET_ACCESS_KEY={DRAWN}/{DRAWN[:19]}",
        f'"client_secret": "{DRAWN}"',
        f"password = '{DRAWN}'",
        f"Authorization: Bearer {DRAWN}{DRAWN}",
        f"AccountKey={DRAWN * 4}==",
    ],
)
def test_keys_of_services_and_what_is_set_as_a_secret(key: str) -> None:
    assert dropped(f"The old setting was {key} until May.") == "a secret key"
    assert "<KEY>" in masked(f"The old setting was {key} until May.")
    assert DRAWN not in masked(f"The old setting was {key} until May.")


def test_passwords_within_addresses() -> None:
    assert dropped(f"postgres://anna:{DRAWN}@db/rows") == "a secret key"
    assert masked(f"postgres://anna:{DRAWN}@db/rows") == "postgres://anna:<KEY>@db/rows"
    assert dropped("postgres://user:password@localhost/rows") == ""


@pytest.mark.parametrize(
    ("number", "wrong"),
    [
        ("12345678Z", "12345678A"),
        ("X1234567L", "X1234567M"),
        ("2 55 08 14 168 025 38", "2 55 08 14 168 025 39"),
        ("529.982.247-25", "529.982.247-26"),
        ("RSSMRA85M01H501Q", "RSSMRA85M01H501R"),
        ("11010519491231002X", "110105194912310021"),
        ("756.9217.0769.85", "756.9217.0769.86"),
        ("AB 12 34 56 C", "AB 12 34 56 Q"),
        ("PESEL 44051401359", "PESEL 44051401358"),
        ("BSN 111222333", "BSN 111222334"),
        ("Steuer-ID 86095742719", "Steuer-ID 86095742718"),
        ("CPF 52998224725", "CPF 52998224726"),
        ("65 170839 J 003", "65 170839 J 004"),
        ("SVNR 1237 010180", "SVNR 1238 010180"),
        ("NIF 123 456 789", "NIF 123 456 788"),
        ("PIS 120.12345.67-2", "PIS 120.12345.67-3"),
        ("NUSS 28/12345678/40", "NUSS 28/12345678/41"),
    ],
)
def test_numbers_of_persons_have_right_check_digits(number: str, wrong: str) -> None:
    stage = PiiStage(kinds=["national_id"])
    assert stage.decide(Row(text=f"It says {number} there."), None).reason == "the number of a person"  # type: ignore[arg-type]
    assert stage.decide(Row(text=f"It says {wrong} there."), None).keeps  # type: ignore[arg-type]


def test_passports_and_wallets() -> None:
    lines = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10"
    assert PiiStage(kinds=["national_id"]).decide(Row(text=lines), None).reason == "the number of a person"  # type: ignore[arg-type]
    assert dropped("Send it to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa today.") == "the address of a wallet"
    assert dropped("Send it to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb today.") == ""
    assert masked("Send it to 0x" + "aB" * 20 + ".") == "Send it to <WALLET>."


@pytest.mark.parametrize(
    "text",
    [
        "Mi móvil es el 655 24 82 08.",
        "Llámame al 655 248 208 por la tarde.",
        "O eletricista atende pelo 913 739 406.",
        "Ligue para a loja no 21 3848-2917.",
        "O meu número é (11) 98473-6036.",
        "Sie erreichen uns unter 030 / 48 83 92 64.",
        "请拨打 138 0013 8001 联系我们。",
        "Позвоните 8 (495) 765-43-21.",
        "The Pune office has 98205 61736.",
    ],
)
def test_phones_in_the_forms_of_many_countries(text: str) -> None:
    assert dropped(text) == "a phone number"


@pytest.mark.parametrize(
    "text",
    [
        "In 1996 the team called for 12 345 678 francs.",
        "La población es de 912 738 405 personas.",
        "Tel Aviv had 460 613 inhabitants in 2021.",
        "Text 2023-10-11 10:30:15 was logged; call 12.05.2020 10:30 the last one.",
        "The cells numbered 10 000 000 per millilitre.",
        "Contact us about article 10 4471 88 33 of the list.",
        "token = tokenizer.next_token(input_ids_of_batch2)",
        "Set API_KEY=your-key-here-1234567 in .env, or os.environ['API_KEY'].",
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "lat 48.858370, lon 2.294481, Mersenne prime 2147483647",
        "Part no. AB 12 34 56 is out of stock, model RX-4578-2231.",
        "Your order number is 302-555-8812 and ships on Monday.",
        "SIRET 732 829 320 00074 à Lyon",
        "The box says EAN 4006381333931, the log 20240315103000.",
        "Build 14.38.33.130 and Chrome/120.0.6099.109 are out; section 12.34.56.78 applies.",
        "git clone git@github.com:firm/project.git, see image@2x.png, from noreply@firm-x.com",
        "Aktenzeichen 030 / 12345 des Gerichts, Rechnung Nr. 0170 / 445566 vom Mai",
        "Facture n° 06 12 34 56 78",
        "ORCID 0000-0002-1825-0097, IMEI 490154203237518",
        "Case No. 212-345-6789, part 123-45-6789",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert dropped(text) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("The box answered from 93.184.216.34 at noon.", "the address of a computer"),
        ("The address of the box was 8.8.4.114.", "the address of a computer"),
        ("It came from 2606:4700:4700::1111 at noon.", "the address of a computer"),
        ("We went from 3.18.2.113 to 3.18.2.114 without trouble.", ""),
        ("At 12:30:45 the vector std::add::be was empty.", ""),
        ("Use 2001:db8::1:2:3 in examples, and fe80::1:2:3 at home.", ""),
    ],
)
def test_addresses_of_hosts_are_told_from_versions_and_times(text: str, reason: str) -> None:
    assert dropped(text) == reason


@pytest.mark.parametrize(
    "address",
    ["jürgen.groß@müller-söhne.de", "o'neill.k@hotmail.ie", "lena dot brandt at posteo dot de", "kai at ufer punkt de"],
)
def test_addresses_for_mail_in_any_letters_and_as_they_are_spoken(address: str) -> None:
    assert dropped(f"Write to {address} until May.") == "an address for mail"
    assert "<EMAIL>" in masked(f"Write to {address} until May.")
