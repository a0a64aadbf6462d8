"""ISO 4217: the codes that a charge may be in."""

from __future__ import annotations

from typing import Final

# Alphabetic codes of money in use, and of money that went out of use since 2015, for the bills of that time.
_CODES: Final = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLF CLP
    CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR
    ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT
    MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD
    SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES
    VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
    ANG BYR CUC HRK MRO SLL STD VEF ZWL
"""
CURRENCIES: Final = frozenset(_CODES.split())


def check_currency(code: str) -> str:
    """Return `code` if it is the code of a currency.

    Raises:
        ValueError: it is not.
    """
    if code not in CURRENCIES:
        hint = f", write {code.upper()}" if code.upper() in CURRENCIES else ""
        raise ValueError(f"{code!r} is not an ISO 4217 currency code{hint}")
    return code
