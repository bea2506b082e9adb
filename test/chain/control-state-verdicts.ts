/** A better answer than the recorded one, in the state in which it was recorded: which records, why, and what is answered. */
export type StateVerdict = readonly [numbers: readonly number[], why: string, status: number, text: RegExp]

export const STATE_VERDICTS: readonly StateVerdict[] = [
  // Money.
  [
    [272],
    'the refusal says what the account lacks',
    500,
    /^could not execute fundDeposit: the account has too little ether .*Insufficient funds for gas/,
  ],
  [[276], 'what wraps around was not sent', 200, /^\{"Deposit":3000000000000000003,/],
  [
    [555, 595, 684],
    'the zero address is nobody’s: nothing goes there',
    400,
    /^invalid to(Addr)?: "nobody" is not an address/,
  ],
  [[596], 'nothing is bonded to the zero address', 200, /"BondedAmount":0,/],
  [[556], 'the call before has bonded nothing to the zero address', 200, /^$/],
  [[557], 'bonded to an orchestrator, not to the zero address', 200, /"DelegateAddress":"0x7099/],
  [[685, 686], 'a recipient is neither padded nor cut', 400, /^invalid to: "0x\w+" is not an address/],
  [[702], 'a bond moves without its stake being paid again', 200, /^$/],
  [
    [703],
    'the refusal says what is missing, and no approval stays',
    500,
    /transfer amount exceeds balance: the account has/,
  ],
  [[704], 'the bond was moved', 200, /"DelegateAddress":"0x90f7/],
  [[589], 'locks are read from the chain, not a poll later', 200, /^\[\]$/],
  // Becoming an orchestrator, and its terms.
  [[561, 813, 814], 'no crash for NaN and Inf', 400, /ParseFloat: parsing "(NaN|Inf)": invalid syntax/],
  [[566, 718], 'what would fail at the end is refused at the beginning', 200, /"Status":"Not Registered"/],
  [[717], 'what would fail at the end is refused at the beginning', 200, /"BondedAmount":0,/],
  [
    [465],
    'nothing was registered by the call before, which can be made again',
    500,
    /^execution reverted: transcoder must be registered\n$/,
  ],
  [[716, 811], 'a cut is checked before anything is sent', 400, /101 is more than 100 percent/],
  [[812], 'a cut is checked before anything is sent', 400, /parsing "-1": invalid syntax/],
  [[815], 'a share is a decimal number: 0x1p3 is a mistake', 400, /parsing "0x1p3": invalid syntax/],
  [
    [764, 773],
    'only an orchestrator asks for a price',
    200,
    /"ServiceURI":"https:\/\/127\.0\.0\.1:9036",.*"RewardCut":125000,"FeeShare":975000,.*"Status":"Registered".*"PriceInfo":null/,
  ],
  [
    [803, 824],
    'only an orchestrator asks for a price',
    200,
    /"ServiceURI":"https:\/\/127\.0\.0\.1:8935",.*"Status":"Registered".*"PriceInfo":null/,
  ],
  [
    [810],
    'only an orchestrator asks for a price',
    200,
    /"ServiceURI":"https:\/\/127\.0\.0\.1:8936",.*"RewardCut":125000,"FeeShare":333333,.*"PriceInfo":null/,
  ],
  [
    [816],
    'only an orchestrator asks for a price',
    200,
    /"RewardCut":100000,"FeeShare":80000,.*"PriceInfo":null/,
  ],
  // Gas.
  [[607, 609], 'no crash, and the ceiling is gone', 200, /^$/],
  [[608, 610], 'without a ceiling it is sent', 200, /^fundDeposit success$/],
  [[660], 'no crash for a deposit of its own account', 200, /^fundDeposit success$/],
  [[656], 'a ceiling needs no chain: it is refused for its value', 400, /is below the minimum gas price of/],
]
