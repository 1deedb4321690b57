#include "insight/report_style.hpp"

namespace chainrule::report {
namespace {

// Colours are Okabe and Ito's (2008), lightened for dark paper; no statement rests on colour alone.
constexpr std::string_view css = R"css(
:root{--paper:#fcfcfa;--ink:#1b1d20;--soft:#5c6068;--line:#e4e4de;--panel:#f4f4ef;--c1:#0072b2;--c2:#d55e00;--c3:#009e73;--c4:#a8558a;
--right:0,114,178;--wrong:213,94,0;--hatch:#d3d3cc}
@media (prefers-color-scheme:dark){:root{--paper:#141619;--ink:#e9e9e4;--soft:#a2a6ad;--line:#2d3036;--panel:#1c1f23;--c1:#56b4e9;
--c2:#f0a030;--c3:#2fbf94;--c4:#dd9bc4;--right:30,130,195;--wrong:205,100,20;--hatch:#3a3e45}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0 auto;padding:48px 32px 64px;max-width:1120px;background:var(--paper);color:var(--ink);
font:16px/1.55 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums}
a{color:inherit;text-decoration-color:var(--soft);text-underline-offset:3px}
a:hover{color:var(--c1)}
:focus-visible{outline:2px solid var(--c1);outline-offset:2px}
h1,h2,h3,p,ul,ol,dl,figure{margin:0;padding:0}
ul,ol{list-style:none}
h1{font-size:15px;font-weight:600;overflow-wrap:anywhere}
h2{font-size:26px;line-height:1.25;font-weight:600;letter-spacing:-.012em;margin-bottom:20px}
h3{font-size:16px;font-weight:600}
section{margin-top:72px}
section>h3,.matrix h3{margin-top:36px}
section>p{margin-bottom:16px;max-width:70ch}
.note,.soft,caption,footer{color:var(--soft)}
.note{font-size:14px;max-width:75ch}
.run{display:flex;flex-wrap:wrap;gap:4px 20px;color:var(--soft);font-size:15px}
.summary{font-size:clamp(24px,3.6vw,38px);line-height:1.28;letter-spacing:-.018em;margin:14px 0 30px;max-width:26em;text-wrap:balance}
.summary strong{font-weight:650;color:var(--c1);white-space:nowrap}.summary strong.sick{color:var(--c2)}
.verdict{border-left:4px solid var(--c3);background:var(--panel);padding:16px 22px;border-radius:0 6px 6px 0}
.verdict.sick{border-color:var(--c2)}.verdict.wary{border-color:var(--soft)}
.verdict .note{margin-top:8px}.verdict details dl{margin-top:8px}
.verdict summary{cursor:pointer;margin-top:14px;color:var(--soft)}
.inequality{font:600 17px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;margin:8px 0 12px;overflow-wrap:anywhere}
.verdict dl>div{display:grid;grid-template-columns:9em 1fr;gap:4px 16px;padding:3px 0}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
nav ul{display:flex;flex-wrap:wrap;gap:6px 22px;margin-top:28px;font-size:14px}
nav a{color:var(--soft);text-decoration:none;border-bottom:1px solid var(--line)}
.checks li{display:grid;grid-template-columns:28px minmax(8em,10em) minmax(9em,21em) 1fr;gap:0 16px;padding:12px 0;border-top:1px solid var(--line)}
.checks li:last-child{border-bottom:1px solid var(--line)}
.checks .sign{font-weight:700;color:var(--c3);text-align:center}
.checks .warn .sign,.checks .fail .sign{color:var(--c2)}
.checks .fail .sign{color:#fff;background:#c04a00;border-radius:4px;height:24px}
.checks .name{font-weight:600}
.checks .wanted,.checks .why{color:var(--soft)}
.checks .why{grid-column:2/-1;font-size:14px}
.checks span{overflow-wrap:anywhere}
.pair{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,430px),1fr));gap:44px 48px}
.pair+details{margin-top:28px}
.chart{position:relative;min-width:0;max-width:620px}
figcaption{display:flex;flex-wrap:wrap;align-items:baseline;gap:2px 20px;margin-bottom:8px}
.key{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:13px;color:var(--soft)}
.key li{display:flex;align-items:center;gap:6px}
.key i{display:inline-block;width:18px;border-top:2.5px solid var(--soft)}
.key i.c1{border-color:var(--c1)}.key i.c2{border-color:var(--c2)}.key i.c3{border-color:var(--c3)}
.key i.dash{border-top-style:dashed}.key i.ideal{border-top:2px dashed var(--soft)}
.key i.gap{border:0;height:10px;background:var(--c2);opacity:.22}
.key i.near{background:var(--c1)}
.key i.point{width:8px;height:8px;border:0;border-radius:50%;background:var(--c1)}
.key i.gapline{width:0;height:13px;border:0;border-left:4px solid var(--c2);opacity:.5}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{font-size:12.5px;fill:var(--soft);font-family:inherit}
svg text.end{text-anchor:end}svg text.mid{text-anchor:middle}
svg text.soft{paint-order:stroke;stroke:var(--paper);stroke-width:5px}
svg text.strong{fill:var(--ink);font-weight:600}
.grid{stroke:var(--line);stroke-width:1;fill:none}
.axis{stroke:var(--soft);stroke-width:1;fill:none}
.line{fill:none;stroke:currentColor;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}
.line.thin{stroke-width:1.5}.line.dash{stroke-dasharray:6 4.5}.line.hidden{stroke:none}
.line.c1{stroke:var(--c1)}.line.c2{stroke:var(--c2)}.line.c3{stroke:var(--c3)}.line.c4{stroke:var(--c4)}
path.gap{fill:var(--c2);opacity:.15;stroke:none}
path.gap.near{fill:var(--c1)}
.mark{stroke:var(--ink);stroke-width:1.2;fill:none}
.ideal{stroke:var(--soft);stroke-width:1.5;stroke-dasharray:3 4;fill:none}
.gapline{stroke:var(--c2);stroke-width:6;opacity:.35;fill:none}
.whisker{stroke:var(--c1);stroke-width:1.5;fill:none}
.bars{stroke:var(--soft);stroke-width:10;opacity:.55;fill:none}
.dots{stroke:var(--c1);stroke-width:4.5;stroke-linecap:round;opacity:.6;fill:none}
circle.c1{fill:var(--c1)}circle.c2{fill:var(--c2)}circle.c3{fill:var(--c3)}circle.c4{fill:var(--c4)}circle.hidden{display:none}
.tip rect{fill:transparent}.tip path{stroke:var(--soft);stroke-width:1}.tip path,.tip circle{opacity:0}
.tip:hover path,.tip:hover circle{opacity:1}
.foot{margin-top:6px;font-size:13px;color:var(--soft)}
.toggle input{position:absolute;opacity:0;pointer-events:none}
.toggle label{display:inline-block;font-size:13px;padding:2px 12px;border:1px solid var(--line);color:var(--soft);cursor:pointer}
.toggle label[for=loss-linear]{border-radius:99px 0 0 99px}.toggle label[for=loss-log]{border-radius:0 99px 99px 0;border-left:0}
.toggle input:checked+label{background:var(--ink);color:var(--paper);border-color:var(--ink)}
.toggle input:focus-visible+label{outline:2px solid var(--c1);outline-offset:2px}
.toggle>div{margin-top:10px}
#loss-linear:checked~.log,#loss-log:checked~.linear{display:none}
@media (min-width:980px){.toggle label{position:absolute;right:0;top:0}.toggle label[for=loss-linear]{right:49px}.toggle>div{margin-top:0}}
details summary{cursor:pointer}
details[open] summary{margin-bottom:12px}
.scroll{overflow-x:auto;margin:0 -4px;padding:0 4px}
table{border-collapse:collapse;font-size:14px}
caption{text-align:left;font-size:14px;padding-bottom:10px;max-width:75ch}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.numbers{width:100%}
.numbers th,.numbers td{padding:7px 0 7px 20px;text-align:right;font-weight:400;border-bottom:1px solid var(--line);white-space:nowrap}
.numbers thead th{color:var(--soft);font-size:13px;white-space:normal;vertical-align:bottom}
.numbers th:first-child{text-align:left;padding-left:0}
.numbers .text{text-align:left}
.numbers tfoot *,.numbers tr.best *{font-weight:600}
.heat+.heat{margin-top:44px}
.heat .note{margin:2px 0 10px}
.strips{width:100%;table-layout:fixed}
.strips th,.strips td{padding:2px 0 2px 16px;font-weight:400;text-align:right;white-space:nowrap}
.strips th:first-child{width:15em;padding-left:0;text-align:left;overflow-wrap:anywhere;white-space:normal;line-height:1.3}
.strips th:nth-child(n+3){width:6em}.strips th:nth-child(4),.strips td:nth-child(4){padding-right:14px}
.strips thead th{color:var(--soft);font-size:13px;padding-bottom:4px}
.ends span{float:left}.ends span+span{float:right}
.strip{display:block;width:100%;height:24px;image-rendering:pixelated;
background:repeating-linear-gradient(45deg,var(--hatch) 0 2px,transparent 2px 6px)}
.off{color:var(--c2);position:absolute;margin-left:3px;font-size:11px}
.scale{display:flex;flex-wrap:wrap;align-items:center;gap:4px 10px;margin-top:14px;font-size:13px;color:var(--soft)}
.ramp{position:relative;width:180px}
.ramp img{display:block;width:100%;height:10px}
.bracket{display:block;height:6px;border:1.5px solid var(--ink);border-bottom:0;margin-bottom:2px}
.scale .note{font-size:13px;margin:0}
.matrix{display:grid;grid-template-columns:minmax(0,2.4fr) minmax(0,1fr);gap:24px 48px;align-items:start}
.matrix h3{margin-top:0}.matrix>div>.note{margin-bottom:12px}
.confusion{font-size:13px;border-collapse:separate;border-spacing:2px}
.confusion th{font-weight:400;text-align:right;padding:0 8px 0 0;white-space:nowrap}
.confusion thead th{vertical-align:bottom;padding:0 0 6px}
.confusion thead span{writing-mode:vertical-rl;transform:rotate(180deg);max-height:9em;overflow:hidden;text-align:left}
.confusion td{min-width:42px;height:36px;text-align:center;padding:0 2px;border-radius:2px}
.confusion .right{background:rgba(var(--right),var(--a))}.confusion .wrong{background:rgba(var(--wrong),var(--a))}
.confusion .zero{color:var(--soft);opacity:.45}
.confusion .share{color:var(--soft);text-align:right;padding-left:8px}
.confusion thead td{background:none}
.pairs li{padding:7px 0;border-top:1px solid var(--line);overflow-wrap:anywhere}
.pairs span{display:block}.pairs .note{font-size:13px}
.pairs{margin-top:8px}
.examples{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:26px 22px;margin-top:14px}
.examples img{width:100%;height:auto;max-height:180px;object-fit:contain;image-rendering:pixelated;display:block;margin-bottom:6px;border-radius:3px}
.p{display:grid;grid-template-columns:minmax(0,1fr) auto;gap:0 8px;font-size:13px;line-height:1.45}
.p .who{overflow-wrap:anywhere}
.p .bar{grid-column:1/-1;height:3px;background:var(--c1);min-width:1px;margin-bottom:3px}
.p.no .bar{background:var(--c2)}.p.no .who{font-weight:600}
.words{align-self:center;max-width:34em}.words p{margin-bottom:12px}.words .big{font-size:30px;letter-spacing:-.015em}
.frames{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,240px),1fr));gap:20px;margin-top:16px}
.frame svg{border-radius:3px;overflow:hidden}
.frame figcaption{font-size:13px;color:var(--soft);margin:6px 0 0}
.frames.one{display:block;max-width:520px}
.frames.one .frame:not(.on){display:none}
.slider{display:flex;align-items:center;gap:12px;margin-top:14px;max-width:520px;font-size:14px;color:var(--soft)}
.slider input{flex:1;accent-color:var(--c1)}
.signs{stroke:#fff;stroke-width:1}
.defs{position:absolute}
section>.key svg{width:12px;flex:none}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,250px),1fr));gap:16px 32px;margin-top:24px}
.facts dt{font-size:13px}
.config{display:block;columns:3 17em;column-gap:32px}.config span{display:block;break-inside:avoid;padding-bottom:1.2em}
#reproduce h3{margin-top:28px}#reproduce h2+h3{margin-top:0}
pre{background:var(--panel);padding:14px 18px;border-radius:6px;white-space:pre-wrap;overflow-wrap:anywhere;font:13px/1.55 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;margin:10px 0 0}
footer{margin-top:80px;padding-top:16px;border-top:1px solid var(--line);font-size:13px}
@media (max-width:820px){.matrix{grid-template-columns:minmax(0,1fr)}}
@media (max-width:600px){
body{padding:28px 16px 48px}
section{margin-top:56px}
svg text{font-size:16px}
.checks li{grid-template-columns:24px 1fr}.checks li>span:nth-child(n+3){grid-column:2}
.verdict{padding:14px 16px}.verdict dl>div{grid-template-columns:1fr}.verdict dt{font-size:13px}
.confusion{font-size:10px;border-spacing:1px;letter-spacing:-.02em}
.confusion td{min-width:22px;height:24px;padding:0}.confusion th{padding-right:4px}
.confusion .share{display:none}.confusion thead th:last-child{display:none}
.strips{font-size:12px}.strips th:first-child{width:34%}.strips th:nth-child(3),.strips td:nth-child(3){display:none}
.strips th:nth-child(4){width:5.4em}.strips th,.strips td{padding-left:8px}
.off{margin-left:0}
.examples{grid-template-columns:repeat(auto-fill,minmax(130px,1fr));gap:20px 16px}.p{font-size:12.5px;gap:0 4px}
.numbers th,.numbers td{padding-left:14px}
}
@media print{
:root{--paper:#fff;--ink:#000;--soft:#444;--line:#ccc;--panel:#f4f4ef;--c1:#0072b2;--c2:#d55e00;--c3:#009e73;--c4:#a8558a;--right:0,114,178;--wrong:213,94,0;--hatch:#ccc}
body{padding:0;max-width:none;font-size:11pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}
section{margin-top:28pt}
nav,.get,.slider,.toggle label,.foot{display:none}
figure,.heat,.verdict,.confusion,.examples li,.checks li,.pairs li,tr{break-inside:avoid}h2,h3,h3+.note{break-after:avoid}
.pair{grid-template-columns:1fr 1fr;gap:20pt 24pt}.pair svg text{font-size:15px}
.matrix{grid-template-columns:minmax(0,2.4fr) minmax(0,1fr);gap:16pt}.confusion{font-size:8pt}.confusion td{min-width:24pt;height:20pt}.pairs{font-size:9pt}.pairs li{padding:2pt 0}
.examples{grid-template-columns:repeat(6,1fr);gap:12pt 10pt}.p{font-size:8pt}.frames{grid-template-columns:repeat(3,1fr)}.config{columns:3}
.frames.one{display:grid;max-width:none}.frames.one .frame:not(.on){display:block}
}
)css";

constexpr std::string_view js = R"js(
document.querySelectorAll('.frames').forEach(function(box){
var frames=box.querySelectorAll('.frame');if(frames.length<2)return;
var row=document.createElement('label'),input=document.createElement('input'),text=document.createElement('span');
row.className='slider';text.textContent='Training';input.type='range';input.min=0;input.max=frames.length-1;input.value=frames.length-1;
function show(){frames.forEach(function(f,i){f.classList.toggle('on',i==input.value)});
input.setAttribute('aria-valuetext',frames[input.value].querySelector('figcaption').textContent)}
input.addEventListener('input',show);row.append(text,input);box.before(row);box.classList.add('one');show()});
addEventListener('beforeprint',function(){document.querySelectorAll('details').forEach(function(d){d.open=true})});
)js";

}  // namespace

std::string_view style_sheet() { return css; }
std::string_view script() { return js; }

}  // namespace chainrule::report
